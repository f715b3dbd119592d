package gotasks

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// The tasks of this file take one value of each type and return it. seen is what it should look like in Go; a
// value that looks otherwise is an error that shows it.

// Point is a struct of a user.
type Point struct {
	X    int64   `json:"x"`
	Name *string `json:"name"`
	Tags []string
}

// saw compares what a value looks like with what it should.
func saw(value any, seen string) error {
	if got := Show(value); got != seen {
		return fmt.Errorf("saw %s, want %s", got, seen)
	}
	return nil
}

// Show prints a value as docs/celery.md does.
func Show(value any) string {
	switch x := value.(type) {
	case string, []string:
		return fmt.Sprintf("%q", x)
	case []byte:
		if x == nil {
			return "nil"
		}
		return fmt.Sprintf("%q", x)
	case json.RawMessage:
		return string(x)
	case time.Time:
		return x.Format(time.RFC3339Nano)
	case *int64:
		if x == nil {
			return "nil"
		}
		return strconv.FormatInt(*x, 10)
	case Point:
		name := "nil"
		if x.Name != nil {
			name = fmt.Sprintf("%q", *x.Name)
		}
		return fmt.Sprintf("{%d %s %q}", x.X, name, x.Tags)
	default:
		return fmt.Sprint(x)
	}
}

//task:name go.value.bool
func valueBool(x bool, seen string) (bool, error) { return x, saw(x, seen) }

//task:name go.value.string
func valueString(x, seen string) (string, error) { return x, saw(x, seen) }

//task:name go.value.int64
func valueInt64(x int64, seen string) (int64, error) { return x, saw(x, seen) }

//task:name go.value.uint64
func valueUint64(x uint64, seen string) (uint64, error) { return x, saw(x, seen) }

//task:name go.value.big
func valueBig(x *big.Int, seen string) (*big.Int, error) { return x, saw(x, seen) }

//task:name go.value.float64
func valueFloat(x float64, seen string) (float64, error) { return x, saw(x, seen) }

//task:name go.value.bytes
func valueBytes(x []byte, seen string) ([]byte, error) { return x, saw(x, seen) }

//task:name go.value.time
func valueTime(x time.Time, seen string) (time.Time, error) { return x, saw(x, seen) }

//task:name go.value.duration
func valueDuration(x time.Duration, seen string) (time.Duration, error) { return x, saw(x, seen) }

//task:name go.value.uuid
func valueUUID(x uuid.UUID, seen string) (uuid.UUID, error) { return x, saw(x, seen) }

//task:name go.value.raw
func valueRaw(x json.RawMessage, seen string) (json.RawMessage, error) { return x, saw(x, seen) }

//task:name go.value.struct
func valueStruct(x Point, seen string) (Point, error) { return x, saw(x, seen) }

//task:name go.value.ints
func valueInts(x []int64, seen string) ([]int64, error) { return x, saw(x, seen) }

//task:name go.value.strings
func valueStrings(x []string, seen string) ([]string, error) { return x, saw(x, seen) }

//task:name go.value.pair
func valuePair(x [2]int64, seen string) ([2]int64, error) { return x, saw(x, seen) }

//task:name go.value.map
func valueMap(x map[string]int64, seen string) (map[string]int64, error) { return x, saw(x, seen) }

//task:name go.value.numbered
func valueNumbered(x map[int64]string, seen string) (map[int64]string, error) { return x, saw(x, seen) }

//task:name go.value.maybe
func valueMaybe(x *int64, seen string) (*int64, error) { return x, saw(x, seen) }
