package celery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wires are the forms in which Python sends values: JSON as kombu 5.2 and as kombu from 5.3 on writes it, and the others.
var wires = []string{"json 5.2", "json 5.3", "msgpack", "yaml"}

// pyValue is a line of the table of docs/celery.md: what becomes of a value of Python's in Go, and when it is sent back.
type pyValue struct {
	python string // an expression
	goType string // of the task's parameter
	wires  string // words of wires; "": all. "json" is both
	// seen is the value in Go, and back what the caller gets, as Python's repr.
	seen, back string
	// refused is the error that the caller gets instead, or refusedBySender.
	refused string
}

// refusedBySender says that Python itself doesn't send such a value.
const refusedBySender = "EncodeError"

var pyValues = []pyValue{
	{python: `None`, goType: `*int64`, seen: `nil`, back: `None`},
	{python: `None`, goType: `int64`, refused: `TypeError: want int64, got null`},
	{python: `None`, goType: `string`, refused: `TypeError: want string, got null`},
	{python: `None`, goType: `[]string`, seen: `[]`, back: `[]`},
	{python: `None`, goType: `[]byte`, wires: `json`, seen: `nil`, back: `''`},
	{python: `None`, goType: `[]byte`, wires: `msgpack yaml`, seen: `nil`, back: `b''`},
	{python: `None`, goType: `uuid.UUID`, wires: `json`, refused: `TypeError: want uuid.UUID, got null`},
	{python: `None`, goType: `json.RawMessage`, wires: `json`, seen: `null`, back: `None`},

	{python: `True`, goType: `bool`, seen: `true`, back: `True`},
	{python: `1`, goType: `bool`, refused: `TypeError: want bool, got int`},
	{python: `True`, goType: `int64`, refused: `TypeError: want int64, got bool`},

	{python: `5`, goType: `int64`, seen: `5`, back: `5`},
	{python: `5`, goType: `*int64`, seen: `5`, back: `5`},
	{python: `2**53 + 1`, goType: `int64`, seen: `9007199254740993`, back: `9007199254740993`},
	{python: `-2**63`, goType: `int64`, seen: `-9223372036854775808`, back: `-9223372036854775808`},
	{python: `2**63`, goType: `int64`, refused: `TypeError: want int64, got a number that does not fit`},
	{python: `2**63`, goType: `uint64`, seen: `9223372036854775808`, back: `9223372036854775808`},
	{python: `-5`, goType: `uint64`, refused: `TypeError: want uint64, got a number that does not fit`},
	{python: `2**63`, goType: `*big.Int`, seen: `9223372036854775808`, back: `9223372036854775808`},
	{python: `2**70`, goType: `*big.Int`, wires: `json yaml`, seen: `1180591620717411303424`, back: `1180591620717411303424`},
	{python: `2**70`, goType: `*big.Int`, wires: `msgpack`, refused: refusedBySender},
	{python: `2**70`, goType: `int64`, wires: `json yaml`, refused: `TypeError: want int64, got a number that does not fit`},
	{python: `2**70`, goType: `json.RawMessage`, wires: `json`, seen: `1180591620717411303424`, back: `1180591620717411303424`},
	{python: `2**70`, goType: `json.RawMessage`, wires: `yaml`, seen: `1180591620717411303424`, back: `'1180591620717411303424'`},
	{python: `5`, goType: `float64`, seen: `5`, back: `5.0`},
	{python: `2**53 + 1`, goType: `float64`, refused: `TypeError: want float64, got a whole number that it can't hold exactly`},

	{python: `1.5`, goType: `float64`, seen: `1.5`, back: `1.5`},
	{python: `float('nan')`, goType: `float64`, seen: `NaN`, back: `nan`},
	{python: `float('-inf')`, goType: `float64`, seen: `-Inf`, back: `-inf`},
	{python: `3.0`, goType: `int64`, seen: `3`, back: `3`},
	{python: `3.5`, goType: `int64`, refused: `TypeError: want int64, got float`},

	{python: `'größer 漢字 🚀\x00'`, goType: `string`, seen: `"größer 漢字 🚀\x00"`, back: `'größer 漢字 🚀\x00'`},
	{python: `'\ud800'`, goType: `string`, wires: `json`, seen: `"�"`, back: `'�'`},
	{python: `'\ud800'`, goType: `string`, wires: `msgpack`, refused: refusedBySender},
	{python: `'\ud800'`, goType: `string`, wires: `yaml`, refused: `DecodeError: yaml data: not valid`},
	{python: `'5'`, goType: `int64`, refused: `TypeError: want int64, got string`},

	{python: `b'\xff'`, goType: `[]byte`, wires: `json 5.2`, refused: refusedBySender},
	{python: `b'\xff'`, goType: `[]byte`, wires: `json 5.3`, seen: `"\xff"`, back: `'/w=='`},
	{python: `b'\xff'`, goType: `[]byte`, wires: `msgpack yaml`, seen: `"\xff"`, back: `b'\xff'`},
	{python: `b'hi'`, goType: `string`, wires: `json 5.3`, seen: `"hi"`, back: `'hi'`},
	{python: `b'hi'`, goType: `string`, wires: `msgpack yaml`, seen: `"hi"`, back: `'hi'`},
	{python: `'aGk='`, goType: `[]byte`, wires: `json`, seen: `"hi"`, back: `'aGk='`},
	{python: `'aGk='`, goType: `[]byte`, wires: `yaml`, seen: `"hi"`, back: `b'hi'`},
	{python: `'aGk='`, goType: `[]byte`, wires: `msgpack`, seen: `"aGk="`, back: `b'aGk='`},

	{python: `[1, 2]`, goType: `[]int64`, seen: `[1 2]`, back: `[1, 2]`},
	{python: `(1, 2)`, goType: `[]int64`, seen: `[1 2]`, back: `[1, 2]`},
	{python: `(1, 2)`, goType: `[2]int64`, seen: `[1 2]`, back: `[1, 2]`},
	{python: `(1, 2, 3)`, goType: `[2]int64`, refused: `TypeError: want a list of 2, got one of another length`},
	{python: `[None]`, goType: `[]int64`, refused: `TypeError: want int64, got null`},
	{python: `{1, 2}`, goType: `[]int64`, wires: `json msgpack`, refused: refusedBySender},
	{python: `{1, 2}`, goType: `[]int64`, wires: `yaml`, refused: `DecodeError: yaml data: a tag that is not one of YAML's own types`},

	{python: `{'a': 1}`, goType: `map[string]int64`, seen: `map[a:1]`, back: `{'a': 1}`},
	{python: `{1: 'a'}`, goType: `map[int64]string`, seen: `map[1:a]`, back: `{'1': 'a'}`},
	{python: `{1.5: 2}`, goType: `map[string]int64`, wires: `json yaml`, seen: `map[1.5:2]`, back: `{'1.5': 2}`},
	{python: `{1.5: 2}`, goType: `map[string]int64`, wires: `msgpack`, refused: `TypeError: want string, got float`},
	{python: `{'x': 1, 'Tags': ['t']}`, goType: `struct`, seen: `{1 nil ["t"]}`, back: `{'Tags': ['t'], 'name': None, 'x': 1}`},
	{python: `{'x': 1, 'more': 2}`, goType: `struct`, wires: `json`, seen: `{1 nil []}`, back: `{'Tags': None, 'name': None, 'x': 1}`},
	{python: `{'x': 1, 'more': 2}`, goType: `struct`, wires: `msgpack yaml`, seen: `{1 nil []}`, back: `{'Tags': [], 'name': None, 'x': 1}`},
	{python: `{'x': 2**63}`, goType: `struct`, wires: `json`, refused: `TypeError: does not fit into gotasks.Point: want int64, got number in x`},
	{python: `{'x': 2**63}`, goType: `struct`, wires: `msgpack yaml`, refused: `TypeError: want int64, got a number that does not fit in x`},
	{python: `[{'a': (1, None)}, 2.0]`, goType: `json.RawMessage`, wires: `json`, seen: `[{"a": [1, null]}, 2.0]`, back: `[{'a': [1, None]}, 2.0]`},
	{python: `[{'a': (1, None)}, 2.0]`, goType: `json.RawMessage`, wires: `msgpack yaml`, seen: `[{"a":[1,null]},2.0]`, back: `'[{"a":[1,null]},2.0]'`},
	{python: `'{"a": 1}'`, goType: `json.RawMessage`, wires: `json`, seen: `"{\"a\": 1}"`, back: `'{"a": 1}'`},
	{python: `'{"a": 1}'`, goType: `json.RawMessage`, wires: `msgpack yaml`, seen: `{"a": 1}`, back: `'{"a": 1}'`},

	{python: `datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)`, goType: `time.Time`, wires: `json yaml`, seen: `2026-01-02T03:04:05.678901Z`, back: `'2026-01-02T03:04:05.678901+00:00'`},
	{python: `datetime(2026, 1, 2, 3, 4, 5)`, goType: `time.Time`, wires: `json yaml`, seen: `2026-01-02T03:04:05Z`, back: `'2026-01-02T03:04:05+00:00'`},
	{python: `datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-3)))`, goType: `time.Time`, wires: `json yaml`, seen: `2026-01-02T03:04:05-03:00`, back: `'2026-01-02T03:04:05-03:00'`},
	{python: `datetime(2026, 1, 2, 3, 4, 5)`, goType: `time.Time`, wires: `msgpack`, refused: refusedBySender},
	{python: `'2026-01-02T03:04:05+00:00'`, goType: `time.Time`, seen: `2026-01-02T03:04:05Z`, back: `'2026-01-02T03:04:05+00:00'`},
	{python: `date(2026, 1, 2)`, goType: `time.Time`, wires: `json yaml`, seen: `2026-01-02T00:00:00Z`, back: `'2026-01-02T00:00:00+00:00'`},
	{python: `date(2026, 1, 2)`, goType: `string`, wires: `json 5.2`, seen: `"2026-01-02T00:00:00"`, back: `'2026-01-02T00:00:00'`},
	{python: `date(2026, 1, 2)`, goType: `string`, wires: `json 5.3`, seen: `"2026-01-02"`, back: `'2026-01-02'`},
	{python: `time(1, 2, 3)`, goType: `string`, wires: `json`, seen: `"01:02:03"`, back: `'01:02:03'`},
	{python: `time(1, 2, 3)`, goType: `string`, wires: `msgpack yaml`, refused: refusedBySender},
	{python: `timedelta(minutes=1)`, goType: `time.Duration`, refused: refusedBySender},
	{python: `timedelta(minutes=1).total_seconds()`, goType: `time.Duration`, seen: `1m0s`, back: `60.0`},
	{python: `'1m30s'`, goType: `time.Duration`, seen: `1m30s`, back: `90.0`},

	{python: `Decimal('1.10')`, goType: `string`, wires: `json`, seen: `"1.10"`, back: `'1.10'`},
	{python: `Decimal('1.10')`, goType: `string`, wires: `msgpack yaml`, refused: refusedBySender},
	{python: `Decimal('1.10')`, goType: `float64`, wires: `json 5.2`, refused: `TypeError: want float64, got string`},
	{python: `Decimal('1.10')`, goType: `float64`, wires: `json 5.3`, seen: `1.1`, back: `1.1`},
	{python: `UUID('01234567-89ab-cdef-0123-456789abcdef')`, goType: `uuid.UUID`, wires: `json`, seen: `01234567-89ab-cdef-0123-456789abcdef`, back: `'01234567-89ab-cdef-0123-456789abcdef'`},
	{python: `UUID('01234567-89ab-cdef-0123-456789abcdef')`, goType: `uuid.UUID`, wires: `msgpack yaml`, refused: refusedBySender},
	{python: `'01234567-89ab-cdef-0123-456789abcdef'`, goType: `uuid.UUID`, seen: `01234567-89ab-cdef-0123-456789abcdef`, back: `'01234567-89ab-cdef-0123-456789abcdef'`},
	{python: `Color.RED`, goType: `string`, refused: refusedBySender},
	{python: `Size.BIG`, goType: `string`, wires: `json msgpack`, seen: `"big"`, back: `'big'`},
	{python: `Level.HIGH`, goType: `int64`, wires: `json msgpack`, seen: `3`, back: `3`},
	{python: `Level.HIGH`, goType: `int64`, wires: `yaml`, refused: refusedBySender},
}

// valueTasks are the tasks of gotasks by the types of their parameters.
var valueTasks = map[string]string{
	"bool": "bool", "string": "string", "int64": "int64", "uint64": "uint64", "*big.Int": "big", "float64": "float64",
	"[]byte": "bytes", "time.Time": "time", "time.Duration": "duration", "uuid.UUID": "uuid", "json.RawMessage": "raw",
	"struct": "struct", "[]int64": "ints", "[]string": "strings", "[2]int64": "pair", "map[string]int64": "map",
	"map[int64]string": "numbered", "*int64": "maybe",
}

// on lists the wires that a line is about.
func (v *pyValue) on() (on []string) {
	for _, wire := range wires {
		format, _, _ := strings.Cut(wire, " ")
		if v.wires == "" || strings.Contains(v.wires, wire) || slices.Contains(strings.Fields(v.wires), format) && !strings.Contains(v.wires, format+" 5") {
			on = append(on, wire)
		}
	}
	return on
}

// Each line of the table is what happens between a real Celery client and a Go worker.
func TestPythonValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startGo(t, "-accept", "json,msgpack,yaml", "-l", "error")
	var calls bytes.Buffer
	for i := range pyValues {
		v := &pyValues[i]
		for _, wire := range v.on() {
			serializer := map[string]string{"json 5.2": "json", "json 5.3": "json-5.3"}[wire]
			if serializer == "" {
				serializer = wire
			}
			if valueTasks[v.goType] == "" {
				t.Fatalf("no task for %s", v.goType)
			}
			line, err := json.Marshal(map[string]string{"python": v.python, "task": "go.value." + valueTasks[v.goType], "wire": serializer, "seen": v.seen})
			if err != nil {
				t.Fatal(err)
			}
			calls.Write(append(line, '\n'))
		}
	}
	told := json.NewDecoder(bytes.NewReader(w.runPython(t, &calls, "values.py")))
	for i := range pyValues {
		v := &pyValues[i]
		for _, wire := range v.on() {
			var o struct{ Value, Unsent, Error, Message string }
			if err := told.Decode(&o); err != nil {
				t.Fatal(err)
			}
			check(t, "values: Python → Go → Python, "+wire, v.python+" as "+v.goType, func(t *testing.T) {
				switch {
				case v.refused == refusedBySender:
					if o.Unsent != refusedBySender {
						t.Errorf("was sent: %+v", o)
					}
				case v.refused != "":
					excType, text, _ := strings.Cut(v.refused, ": ")
					if o.Error != excType || !strings.Contains(o.Message, text) {
						t.Errorf("got %+v, want %s", o, v.refused)
					}
				case o.Value != v.back:
					t.Errorf("got %+v, want %s", o, v.back)
				}
			})
		}
	}
}

// pyTable is the table as it is in docs/celery.md.
func pyTable() string {
	var out strings.Builder
	out.WriteString("| Python | parameter in Go | is there | result in Python | with |\n| --- | --- | --- | --- | --- |\n")
	for i := range pyValues {
		v := &pyValues[i]
		seen, back := code(v.seen), code(v.back)
		switch {
		case v.refused == refusedBySender:
			seen, back = "refused by Python: `"+refusedBySender+"`", ""
		case v.refused != "":
			excType, text, _ := strings.Cut(v.refused, ": ")
			seen, back = "refused: `"+excType+"`, "+text, ""
		}
		with := "all"
		if on := v.on(); len(on) < len(wires) {
			with = strings.Join(on, ", ")
			with = strings.Replace(with, "json 5.2, json 5.3", "json", 1)
		}
		fmt.Fprintf(&out, "| %s | `%s` | %s | %s | %s |\n", code(v.python), v.goType, seen, back, with)
	}
	return out.String()
}

// code is a text as code in a cell of a table.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}
