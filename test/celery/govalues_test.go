package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/test/celery/gotasks"
)

// goValue is a line of the table of docs/celery.md: what a value of Go's is in Python, as Python's repr.
type goValue struct {
	text, goType        string
	json, msgpack, yaml string // "": as in JSON
	show                func(context.Context, []task.Option) (*task.Call[string], error)
}

type (
	options = []task.Option
	call    = *task.Call[string]
)

var goValues = []goValue{
	{`true`, `bool`, `True`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowBool.With(o...).Delay(ctx, true)
	}},
	{`math.MinInt64`, `int64`, `-9223372036854775808`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowInt64.With(o...).Delay(ctx, math.MinInt64)
	}},
	{`math.MaxUint64`, `uint64`, `18446744073709551615`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowUint64.With(o...).Delay(ctx, math.MaxUint64)
	}},
	{`2^64 - 1`, `*big.Int`, `18446744073709551615`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowBig.With(o...).Delay(ctx, new(big.Int).SetUint64(math.MaxUint64))
	}},
	{`2^70`, `*big.Int`, `1180591620717411303424`, `'1180591620717411303424'`, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowBig.With(o...).Delay(ctx, new(big.Int).Lsh(big.NewInt(1), 70))
	}},
	{`1`, `float64`, `1.0`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowFloat.With(o...).Delay(ctx, 1)
	}},
	{`math.NaN()`, `float64`, `nan`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowFloat.With(o...).Delay(ctx, math.NaN())
	}},
	{`math.Inf(-1)`, `float64`, `-inf`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowFloat.With(o...).Delay(ctx, math.Inf(-1))
	}},
	{`"größer\x00🚀"`, `string`, `'größer\x00🚀'`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowString.With(o...).Delay(ctx, "größer\x00🚀")
	}},
	{`"\xff"`, `string`, ``, `b'\xff'`, `b'\xff'`, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowString.With(o...).Delay(ctx, "\xff")
	}},
	{`[]byte{0, 255}`, `[]byte`, `'AP8='`, `b'\x00\xff'`, `b'\x00\xff'`, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowBytes.With(o...).Delay(ctx, []byte{0, 255})
	}},
	{`nil`, `[]byte`, `''`, `b''`, `b''`, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowBytes.With(o...).Delay(ctx, nil)
	}},
	{`2026-01-02 03:04:05.000006 UTC`, `time.Time`, `'2026-01-02T03:04:05.000006+00:00'`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowTime.With(o...).Delay(ctx, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC))
	}},
	{`2026-01-02 03:04:05.000000006 -0300`, `time.Time`, `'2026-01-02T03:04:05.000000006-03:00'`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowTime.With(o...).Delay(ctx, time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", -3*3600)))
	}},
	{`90 * time.Second`, `time.Duration`, `90.0`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowDuration.With(o...).Delay(ctx, 90*time.Second)
	}},
	{`1<<62 + 1`, `time.Duration`, `'1281023h53m38.427387905s'`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowDuration.With(o...).Delay(ctx, 1<<62+1)
	}},
	{`uuid.MustParse("0123…")`, `uuid.UUID`, `'01234567-89ab-cdef-0123-456789abcdef'`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowUUID.With(o...).Delay(ctx, uuid.MustParse("0123456789abcdef0123456789abcdef"))
	}},
	{`{"a": [1, null]}`, `json.RawMessage`, `{'a': [1, None]}`, `'{"a": [1, null]}'`, `'{"a": [1, null]}'`, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowRaw.With(o...).Delay(ctx, json.RawMessage(`{"a": [1, null]}`))
	}},
	{`nil`, `[]int64`, `[]`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowInts.With(o...).Delay(ctx, nil)
	}},
	{`[2]int64{1, 2}`, `[2]int64`, `[1, 2]`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowPair.With(o...).Delay(ctx, [2]int64{1, 2})
	}},
	{`map[string]int64{"a": 1}`, `map[string]int64`, `{'a': 1}`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowMap.With(o...).Delay(ctx, map[string]int64{"a": 1})
	}},
	{`map[int64]string{1: "a"}`, `map[int64]string`, `{'1': 'a'}`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowNumbered.With(o...).Delay(ctx, map[int64]string{1: "a"})
	}},
	{`nil`, `*int64`, `None`, ``, ``, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowMaybe.With(o...).Delay(ctx, nil)
	}},
	{`Point{X: 1}`, `struct`, `{'x': 1, 'name': None, 'Tags': None}`, `{'x': 1, 'name': None, 'Tags': []}`, `{'Tags': [], 'name': None, 'x': 1}`, func(ctx context.Context, o options) (call, error) {
		return gotasks.PyShowStruct.With(o...).Delay(ctx, gotasks.Point{X: 1})
	}},
}

// in is what the value is in Python with a serializer; "" if it can't be sent with it.
func (v *goValue) in(serializer string) string {
	switch {
	case serializer == "msgpack" && v.msgpack != "":
		return v.msgpack
	case serializer == "yaml" && v.yaml != "":
		return v.yaml
	}
	return v.json
}

var serializers = []string{"json", "msgpack", "yaml"}

// testGoValues runs each line of the table against a Celery worker.
func testGoValues(ctx context.Context, t *testing.T, queue string) {
	for i := range goValues {
		v := &goValues[i]
		for _, serializer := range serializers {
			check(t, "values: Go → Python, "+serializer, v.goType+" "+v.text, func(t *testing.T) {
				got, err := v.show(ctx, options{task.Queue(queue), task.UseSerializer(serializer)})
				if want := v.in(serializer); want != "" {
					is(t, want, sent(got, err).value(ctx, t))
				} else if err == nil {
					t.Error("was sent")
				}
			})
		}
	}
}

// testEcho has Python send values back: they are the same.
func testEcho(ctx context.Context, t *testing.T, queue string) {
	for _, serializer := range serializers {
		o := options{task.Queue(queue), task.UseSerializer(serializer)}
		check(t, "values: Go → Python → Go, "+serializer, "the same", func(t *testing.T) {
			is(t, math.MaxInt64, sent(gotasks.PyEchoInt64.With(o...).Delay(ctx, math.MaxInt64)).value(ctx, t))
			is(t, -1.0, sent(gotasks.PyEchoFloat.With(o...).Delay(ctx, -1)).value(ctx, t))
			is(t, "ü\x00🚀", sent(gotasks.PyEchoString.With(o...).Delay(ctx, "ü\x00🚀")).value(ctx, t))
			huge := new(big.Int).Lsh(big.NewInt(-1), 70)
			is(t, huge.String(), sent(gotasks.PyEchoBig.With(o...).Delay(ctx, huge)).value(ctx, t).String())
			at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 5*3600+1800))
			is(t, at.String(), sent(gotasks.PyEchoTime.With(o...).Delay(ctx, at)).value(ctx, t).String())
			name := "n"
			point := sent(gotasks.PyEchoStruct.With(o...).Delay(ctx, gotasks.Point{X: 1 << 62, Name: &name, Tags: []string{"a"}})).value(ctx, t)
			is(t, gotasks.Show(gotasks.Point{X: 1 << 62, Name: &name, Tags: []string{"a"}}), gotasks.Show(point))
			is(t, "map[-7:a]", fmt.Sprint(sent(gotasks.PyEchoNumbered.With(o...).Delay(ctx, map[int64]string{-7: "a"})).value(ctx, t)))
		})
	}
}

// goTable is the table as it is in docs/celery.md.
func goTable() string {
	var out strings.Builder
	out.WriteString("| Go | of type | json | msgpack | yaml |\n| --- | --- | --- | --- | --- |\n")
	for i := range goValues {
		v := &goValues[i]
		fmt.Fprintf(&out, "| %s | `%s`", code(v.text), v.goType)
		for _, serializer := range serializers {
			cell := code(v.in(serializer))
			if cell == "" {
				cell = "an error of the sender"
			}
			fmt.Fprintf(&out, " | %s", cell)
		}
		out.WriteString(" |\n")
	}
	return out.String()
}
