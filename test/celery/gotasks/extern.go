package gotasks

import (
	"context"
	"encoding/json"
	"math/big"
	"time"

	"github.com/google/uuid"
)

// Py are the tasks of testdata/pytasks.py.
//
//task:extern
//task:name pytasks
type Py interface {
	Add(ctx context.Context, x, y int64) (int64, error)
	Greet(name string, times int, greeting string) (string, error)
	Nothing() error

	Announce(text string, at *time.Time) (string, error)
	Fail(how string) error
	Flaky(failures int) (int, error)
	About() (PyMessage, error)

	//task:name pytasks.no_such
	Missing() error

	//task:args positional
	//task:name pytasks.add_by_position
	AddByPosition(x, y int64) (int64, error)

	// What follows sends a value of each type and asks what it looks like there, or has it sent back.

	ShowBool(x bool) (string, error)
	ShowInt64(x int64) (string, error)
	ShowUint64(x uint64) (string, error)
	ShowBig(x *big.Int) (string, error)
	ShowFloat(x float64) (string, error)
	ShowString(x string) (string, error)
	ShowBytes(x []byte) (string, error)
	ShowTime(x time.Time) (string, error)
	ShowDuration(x time.Duration) (string, error)
	ShowUUID(x uuid.UUID) (string, error)
	ShowRaw(x json.RawMessage) (string, error)
	ShowInts(x []int64) (string, error)
	ShowPair(x [2]int64) (string, error)
	ShowMap(x map[string]int64) (string, error)
	ShowNumbered(x map[int64]string) (string, error)
	ShowMaybe(x *int64) (string, error)
	ShowStruct(x Point) (string, error)

	EchoInt64(x int64) (int64, error)
	EchoBig(x *big.Int) (*big.Int, error)
	EchoFloat(x float64) (float64, error)
	EchoString(x string) (string, error)
	EchoTime(x time.Time) (time.Time, error)
	EchoStruct(x Point) (Point, error)
	EchoNumbered(x map[int64]string) (map[int64]string, error)
}

// Brief are tasks of testdata/pytasks.py too, with other parameters: the rest has its default values there.
//
//task:extern
//task:name pytasks
type Brief interface {
	Greet(name string) (string, error)
	Announce(text string, loud bool, languages ...string) (string, error)
}

// PyMessage is what a Python task knows of its message.
type PyMessage struct {
	ID        string     `json:"id"`
	Root      string     `json:"root"`
	Parent    *string    `json:"parent"`
	ETA       *string    `json:"eta"`
	Expires   *string    `json:"expires"`
	TimeLimit []*float64 `json:"timelimit"`
	Retries   int        `json:"retries"`
	Priority  int        `json:"priority"`
	Tenant    *string    `json:"tenant"`
	Now       float64    `json:"now"`
}
