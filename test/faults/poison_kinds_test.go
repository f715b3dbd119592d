package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// poison is one kind of a message that should never have been sent, as a change to a good one.
type poison struct {
	name string
	edit func(*task.Message)
	// dead is why it is parked; "" if it is not.
	dead string
	// failure is in what the caller is told. runs says that the task succeeds all the same, revoked that it
	// is too late for it, unanswered that nobody can be told.
	failure       string
	runs, revoked bool
	unanswered    bool
	// amqp: there is no such message in SQLite; embedded: RabbitMQ itself refuses it.
	amqp, embedded bool
	// slow: for the long form only.
	slow bool
	// reply is where the answer goes, if not to the test.
	reply string
}

// message is the poison, with an id that is its own.
func (p *poison) message(id string) *task.Message {
	m := &task.Message{
		ID: id, Task: "faults.typed", ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: map[string]any{
			"lang": "py", "task": "faults.typed", "id": id, "root_id": id, "retries": int32(0), "origin": "gen1@" + secret,
			"argsrepr": secret,
		},
		Body: jsonCall(nil),
	}
	p.edit(m)
	return m
}

// jsonCall is a good body, but for some arguments. One that is nil is missing.
func jsonCall(change map[string]any) []byte {
	args := map[string]any{
		"text": secret, "small": 1, "count": 1, "big": 1, "ratio": 1.5, "flag": true, "data": "eA==",
		"at": "2026-08-20T01:02:03+00:00", "wait": 1, "tags": []string{secret}, "sizes": map[string]int{"x": 1},
		"user": map[string]any{"name": secret, "age": 1}, "any": nil,
	}
	maps.Copy(args, change)
	for name, value := range change {
		if value == nil {
			delete(args, name)
		}
	}
	text, err := json.Marshal([]any{[]any{}, args, map[string]any{}})
	if err != nil {
		panic(err)
	}
	return text
}

// raw is JSON text for jsonCall.
func raw(text string) json.RawMessage { return json.RawMessage(text) }

// poisons are all kinds. They don't change the messages that they have in common.
var poisons = sync.OnceValue(func() []poison {
	return slices.Concat(bodies(), arguments(), headers(), properties(), bombs(), misbehaviours())
})

func body(text string) func(*task.Message) { return func(m *task.Message) { m.Body = []byte(text) } }

func header(name string, value any) func(*task.Message) {
	return func(m *task.Message) { m.Headers[name] = value }
}

func undecodable(name, text string) poison {
	return poison{name: name, edit: body(text), dead: task.ReasonUndecodable}
}

func bodies() []poison {
	good := string(jsonCall(nil))
	return []poison{
		undecodable("empty body", ""),
		undecodable("null", "null"),
		undecodable("a map", `{"a": 1}`),
		undecodable("a text", `"`+secret+`"`),
		undecodable("a number", "1"),
		undecodable("an empty list", "[]"),
		undecodable("a list of two", `[[], {}]`),
		undecodable("a list of four", `[[], {}, {}, {}]`),
		undecodable("args null", `[null, {}, {}]`),
		undecodable("args a map", `[{}, {}, {}]`),
		undecodable("args a text", `["`+secret+`", {}, {}]`),
		undecodable("kwargs null", `[[], null, {}]`),
		undecodable("kwargs a list", `[[], ["`+secret+`"], {}]`),
		undecodable("cut off", good[:len(good)/2]),
		undecodable("something behind", good+"x"),
		undecodable("two bodies", good+good),
		undecodable("byte order mark", "\ufeff"+good),
		undecodable("UTF-16", "\xff\xfe[\x00]\x00"),
		undecodable("zeros", strings.Repeat("\x00", 1000)),
		undecodable("not UTF-8", strings.Replace(good, "s3cret", "s3\xffcret", 1)),
		undecodable("control characters", strings.Replace(good, "s3cret", "s3\ncret", 1)),
		undecodable("a comment", good+" // "+secret),
		undecodable("as Python prints it", `[(), {'text': '`+secret+`'}, {}]`),
		undecodable("base64", base64.StdEncoding.EncodeToString([]byte(good))),
		undecodable("JSON 100,000 deep", strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)),
		{name: "odd embed", edit: body(strings.Replace(good, "},{}]", `},{"chain":5,"chord":"x","callbacks":{"a":[1]},"errbacks":[[]]}]`, 1)), dead: task.ReasonBadHeader},
		{name: "embed null", edit: body(strings.Replace(good, "},{}]", "},null]", 1)), runs: true},
		{name: "protocol 1", edit: func(m *task.Message) {
			m.Headers = nil
			m.Body = []byte(`{"task": "faults.typed", "id": "` + m.ID + `", "args": [], "kwargs": {}, "retries": 0}`)
		}, dead: task.ReasonBadArguments},
		{name: "pickle", edit: func(m *task.Message) {
			m.ContentType, m.ContentEncoding = "application/x-python-serialize", "binary"
			m.Body = []byte("\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94\x85\x94R\x94.")
		}, dead: task.ReasonContentType},
		{name: "pickle that says it is JSON", edit: body("\x80\x04}\x94."), dead: task.ReasonUndecodable},
		{name: "msgpack that says it is JSON", edit: body("\x93\x90\x80\x80"), dead: task.ReasonUndecodable},
		{name: "JSON that says it is msgpack", edit: func(m *task.Message) { m.ContentType = "application/x-msgpack" }, dead: task.ReasonUndecodable},
		{name: "no content type", edit: func(m *task.Message) { m.ContentType = "" }, dead: task.ReasonContentType},
		{name: "content type with a line end", edit: func(m *task.Message) { m.ContentType = "x\ntime=forged" }, dead: task.ReasonContentType},
		{name: "content type with parameters", edit: func(m *task.Message) { m.ContentType = "application/json; charset=utf-8" }, dead: task.ReasonContentType},
		{name: "signed by Celery's auth", edit: func(m *task.Message) { m.ContentType = "application/data" }, dead: task.ReasonContentType},
		{name: "unknown encoding", edit: func(m *task.Message) { m.ContentEncoding = "klingon" }, runs: true},
		{name: "garbage as gob", edit: func(m *task.Message) { m.ContentType = "application/x-gob" }, dead: task.ReasonUndecodable},
	}
}

func arguments() []poison {
	out := []poison{
		{name: "missing argument", edit: args("text", nil)},
		{name: "unknown argument", edit: args("colour", secret)},
		{name: "unknown argument with a line end", edit: args("x\ntime=forged \x1b[31m", secret)},
		{name: "argument in another case", edit: func(m *task.Message) {
			m.Body = bytes.Replace(m.Body, []byte(`"text":`), []byte(`"Text":`), 1)
		}},
		{name: "argument twice", edit: func(m *task.Message) {
			m.Body = bytes.Replace(m.Body, []byte(`"text":`), []byte(`"text":"a","text":`), 1)
		}},
		{name: "by position and by name", edit: func(m *task.Message) { m.Body = bytes.Replace(m.Body, []byte("[[]"), []byte(`[["x"]`), 1) }},
		{name: "too many arguments", edit: body(`[[` + strings.Repeat("1,", 100) + `1],{},{}]`)},
	}
	for name, values := range map[string][]string{
		"text":  {"1", "null", "[]", "{}", "true"},
		"small": {`"x"`, "128", "-129", "1.5", "1e300", "NaN", "null", "true"},
		"count": {"-1", "65536"},
		"big":   {"9223372036854775808", "-9223372036854775809", "1e19", strings.Repeat("9", 5000)},
		"ratio": {`"x"`, "null", "1e999"},
		"flag":  {"0", `"true"`, "null"},
		"data":  {"1", `"not base64!"`},
		"at":    {"1", `"yesterday"`, `"10000-01-01T00:00:00Z"`, `"2026-02-30T00:00:00Z"`},
		"wait":  {`"x"`, "1e300", "[]"},
		"tags":  {"1", `{"a":1}`, "[1]", "[null]"},
		"sizes": {"[]", `{"a":"b"}`},
		"user":  {"1", "[]", `{"name":1}`},
	} {
		for _, value := range values[:pick(1, len(values))] {
			out = append(out, poison{name: fmt.Sprintf("%s is %.20s", name, value), edit: args(name, raw(value))})
		}
	}
	for i := range out {
		out[i].dead = task.ReasonBadArguments
	}
	return append(out,
		poison{name: "half of a surrogate pair", edit: args("text", raw(`"\ud800"`)), runs: true},
		poison{name: "key of a map twice", edit: args("sizes", raw(`{"a":1,"a":2}`)), runs: true},
	)
}

// args changes an argument. Text that encoding/json would refuse is put in as it is.
func args(name string, value any) func(*task.Message) {
	return func(m *task.Message) {
		if text, ok := value.(json.RawMessage); ok {
			m.Body = bytes.Replace(jsonCall(map[string]any{name: "@"}), []byte(`"@"`), text, 1)
			return
		}
		m.Body = jsonCall(map[string]any{name: value})
	}
}

func headers() []poison {
	bad := func(name string, edit func(*task.Message)) poison {
		return poison{name: name, edit: edit, dead: task.ReasonBadHeader}
	}
	many := func(m *task.Message) {
		for i := range 8000 {
			m.Headers[strconv.Itoa(i)] = nil
		}
	}
	var deep any = "x"
	for range 30 {
		deep = []any{deep}
	}
	out := []poison{
		{name: "no task", edit: func(m *task.Message) { delete(m.Headers, "task") }, dead: task.ReasonNotATask},
		{name: "empty task", edit: header("task", ""), dead: task.ReasonNotATask},
		{name: "no headers", edit: func(m *task.Message) { m.Headers = nil }, dead: task.ReasonNotATask},
		{name: "unknown task", edit: header("task", "faults.gone"), dead: task.ReasonUnknownTask},
		{name: "unknown task of Python", edit: header("task", "app.<locals>.<lambda>"), dead: task.ReasonUnknownTask},
		bad("task is a number", header("task", int32(1))),
		bad("task is a list", header("task", []any{"faults.typed"})),
		bad("task with a line end", header("task", "faults.typed\ntime=forged level=ERROR")),
		bad("task with an escape code", header("task", "\x1b[31mred\x1b[0m")),
		bad("task with NUL", header("task", "faults.typed\x00")),
		bad("task with U+2028", header("task", "faults\u2028typed")),
		bad("task from right to left", header("task", "\u202edepyt.stluaf")),
		bad("task is not UTF-8", header("task", "faults.\xff")),
		bad("task of 256 bytes", header("task", strings.Repeat("x", 256))),
		bad("task of 40,000 bytes", header("task", strings.Repeat("x", 40_000))),
		bad("id is a number", header("id", int32(1))),
		bad("id is a map", header("id", map[string]any{"x": int32(1)})),
		bad("id of 256 bytes", header("id", strings.Repeat("x", 256))),
		bad("id of 40,000 bytes", header("id", strings.Repeat("x", 40_000))),
		bad("retries below 0", header("retries", int32(-1))),
		bad("retries huge", header("retries", float64(1e300))),
		bad("retries a text", header("retries", "3")),
		bad("retries a list", header("retries", []any{int32(3)})),
		bad("eta malformed", header("eta", "tomorrow")),
		bad("eta with a line end", header("eta", "2026-01-01\ntime=forged")),
		bad("eta a number", header("eta", int32(1))),
		bad("eta a leap second", header("eta", "2016-12-31T23:59:60+00:00")),
		bad("eta at 24:00", header("eta", "2016-12-31T24:00:00+00:00")),
		bad("eta in the year 10000", header("eta", "10000-01-01T00:00:00+00:00")),
		bad("expires malformed", header("expires", "never")),
		bad("expires a list", header("expires", []any{})),
		bad("timelimit of one", header("timelimit", []any{int32(1)})),
		bad("timelimit of three", header("timelimit", []any{int32(1), int32(1), int32(1)})),
		bad("timelimit a text", header("timelimit", "10")),
		bad("timelimit of texts", header("timelimit", []any{nil, "x"})),
		bad("root id with a line end", header("root_id", "a\nb")),
		bad("parent id a number", header("parent_id", int32(1))),
		bad("forged mark of headers that can't be read", header("x-taskgen-unreadable", true)),
		{name: "no id anywhere", edit: func(m *task.Message) {
			delete(m.Headers, "id")
			m.ID = ""
		}, dead: task.ReasonBadHeader, unanswered: true},
		{name: "id with a line end", edit: func(m *task.Message) {
			m.ID = "a\ntime=forged"
			m.Headers["id"] = m.ID
		}, dead: task.ReasonBadHeader, unanswered: true},
		{name: "id only as a property", edit: func(m *task.Message) { delete(m.Headers, "id") }, runs: true},
		{name: "retries not a number", edit: header("retries", math.NaN()), dead: task.ReasonBadHeader, embedded: true},
		{name: "timelimit without end", edit: header("timelimit", []any{nil, math.Inf(1)}), runs: true, embedded: true},
		{name: "retries a float", edit: header("retries", 1.5), runs: true},
		{name: "lang null", edit: header("lang", nil), runs: true},
		{name: "eta in the year 1", edit: header("eta", "0001-01-01T00:00:00+00:00"), runs: true},
		{name: "eta with 12 digits of fraction", edit: header("eta", "2020-01-01T00:00:00.123456789012+00:00"), runs: true},
		{name: "eta without a zone", edit: header("eta", "2020-01-01 00:00:00.5"), runs: true},
		{name: "expires in the year 9999", edit: header("expires", "9999-12-31T23:59:59.999999+00:00"), runs: true},
		{name: "expires in the year 2", edit: header("expires", "0002-01-01T00:00:00+00:00"), revoked: true},
		{name: "timelimit below 0", edit: header("timelimit", []any{int32(-1), float64(-1e300)}), runs: true},
		{name: "timelimit of 10^300", edit: header("timelimit", []any{float64(1e300), nil}), runs: true},
		{name: "odd names of headers", edit: func(m *task.Message) {
			m.Headers[""], m.Headers["a\nb"], m.Headers["\xff"], m.Headers[strings.Repeat("x", 255)] = true, true, true, true
		}, runs: true},
		{name: "forged marks of the worker", edit: func(m *task.Message) {
			m.Headers["taskgen-starts"], m.Headers["x-taskgen-reason"], m.Headers["x-taskgen-due"] = int32(1_000_000), "forged", "never"
		}, runs: true},
		{name: "forged marks of the broker", edit: func(m *task.Message) {
			m.Headers["x-death"] = []any{map[string]any{"count": "x", "queue": []any{}}, int32(1)}
			m.Headers["x-first-death-reason"] = int32(1)
		}, runs: true},
		{name: "8,000 headers", edit: many, dead: task.ReasonTooLarge},
		{name: "header of 80,000 bytes", edit: header("x", strings.Repeat("x", 80_000)), dead: task.ReasonTooLarge},
		{name: "header of 2,000 values", edit: header("x", make([]any, 2000)), dead: task.ReasonTooLarge},
		{name: "header 30 deep", edit: header("x", deep), runs: true},
	}
	for name, value := range map[string]any{
		"int8": int8(-1), "uint8": byte(200), "int16": int16(-1), "int64": int64(math.MinInt64), "float32": float32(1.5), "bytes": []byte{0, 255},
	} {
		out = append(out, poison{name: "header of type " + name, edit: header("x", value), runs: true})
	}
	for name, value := range map[string]any{
		"decimal": amqp.Decimal{Scale: 255, Value: math.MaxInt32}, "time in the year 60000": time.Unix(1<<40, 0),
		"int64 of Python": forged, "table": amqp.Table{"x": amqp.Table{"x": []any{forged}}},
	} {
		out = append(out, poison{name: "header of type " + name, edit: header("x", value), runs: true, amqp: true})
	}
	return out
}

func properties() []poison {
	return []poison{
		{name: "priority 255", edit: func(m *task.Message) { m.Priority = 255 }, runs: true},
		{name: "answer to a queue that is missing", edit: func(*task.Message) {}, reply: "faults-missing", unanswered: true, amqp: true},
		{name: "unknown task, answer to a queue that is missing", edit: header("task", "faults.gone"), reply: "faults-missing", dead: task.ReasonUnknownTask, unanswered: true, amqp: true},
		{name: "17 MiB", edit: func(m *task.Message) {
			m.Body = make([]byte, task.DefaultMaxBody+1)
		}, dead: task.ReasonTooLarge},
	}
}

// zeros is 100 MiB of zeros in 113 bytes of bzip2.
var zeros, _ = base64.StdEncoding.DecodeString("QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1mKltepAGQGRADAABAAAAggADDMBSmmKARbEoBF4u5IpwoSFdRTLWA=")

func deflate(text []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(text)
	_ = w.Close()
	return out.Bytes()
}

// deflatedZeros is a zlib stream of so many MiB of zeros, without an end.
func deflatedZeros(size int) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	zeros := make([]byte, 1<<20)
	_, _ = w.Write(zeros)
	_ = w.Flush()
	first := out.Len()
	_, _ = w.Write(zeros)
	_ = w.Flush()
	return append(out.Bytes()[:first:first], bytes.Repeat(out.Bytes()[first:], size-1)...)
}

func squeeze(text []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(text, nil)
}

// squeezedZeros is a zstd frame of so many MiB of zeros: each 128 KiB are a block that says so.
func squeezedZeros(size int) []byte {
	const head, block, last = "\x28\xb5\x2f\xfd\x00\x38", "\x02\x00\x10\x00", "\x03\x00\x10\x00"
	return []byte(head + strings.Repeat(block, 8*size-1) + last)
}

func compressed(as string, data []byte) func(*task.Message) {
	return func(m *task.Message) {
		m.Headers["compression"] = as
		m.Body = data
	}
}

func msgpack(data string) func(*task.Message) {
	return func(m *task.Message) {
		m.ContentType, m.ContentEncoding = "application/x-msgpack", "binary"
		m.Body = []byte(data)
	}
}

func yaml(data string) func(*task.Message) {
	return func(m *task.Message) {
		m.ContentType = "application/x-yaml"
		m.Body = []byte(data)
	}
}

func bombs() []poison {
	const mb = 1 << 20
	many := uint32(pick(4, 60)) // MiB, decompressed
	good := jsonCall(nil)
	packed := deflate(good)
	be := func(head byte, n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{head}, n)) }
	call := func(argument string) string { return "\x93\x91" + argument + "\x80\x80" }
	var rfc1952 bytes.Buffer
	w := gzip.NewWriter(&rfc1952)
	_, _ = w.Write(good)
	_ = w.Close()
	var laughs strings.Builder
	laughs.WriteString("- &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "- &a%d [%s*a%d]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9), i)
	}
	out := []poison{
		{name: "unknown compression", edit: compressed("application/x-snappy\n", good)},
		{name: "brotli", edit: compressed("application/x-brotli", good)},
		{name: "lzma", edit: compressed("application/x-lzma", good)},
		{name: "compression that is none", edit: compressed("application/x-gzip", good)},
		{name: "gzip in the format of files", edit: compressed("application/x-gzip", rfc1952.Bytes())},
		{name: "zlib cut off", edit: compressed("application/x-gzip", packed[:len(packed)-3])},
		{name: "zlib with a wrong sum", edit: compressed("application/x-gzip", append(packed[:len(packed)-1:len(packed)-1], packed[len(packed)-1]^1))},
		{name: "zlib twice", edit: compressed("application/x-gzip", slices.Concat(packed, packed))},
		{name: "zlib within zlib", edit: compressed("application/x-gzip", deflate(packed))},
		{name: "bzip2 cut off", edit: compressed("application/x-bz2", zeros[:30])},
		{name: "zstd with a window of 2 GB", edit: compressed("application/zstd", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"))},
		{name: "zstd of 2^60 bytes", edit: compressed("application/zstd", []byte("\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00"))},
		{name: "zstd twice", edit: compressed("application/zstd", slices.Concat(squeeze(good), squeeze(good)))},
		{name: "zlib bomb", edit: compressed("application/x-gzip", deflatedZeros(200)), dead: task.ReasonTooLarge, slow: true},
		{name: "zstd bomb of 4 GB", edit: compressed("application/zstd", squeezedZeros(4096)), dead: task.ReasonTooLarge},
		{name: "bzip2 bomb", edit: compressed("application/x-bz2", zeros), dead: task.ReasonTooLarge, slow: true},
		{name: "zstd frames", edit: compressed("application/zstd", bytes.Repeat(squeezedZeros(1), 1000)), dead: task.ReasonTooLarge, slow: true},
		{name: "JSON arguments in zstd", edit: compressed("application/zstd", squeeze([]byte("[["+strings.Repeat("0,", int(many)*mb/2))))},
		{name: "spaces in zstd", edit: compressed("application/zstd", squeeze(bytes.Repeat([]byte(" "), int(many)*mb)))},
		{name: "list of 2^32", edit: msgpack(be(0xdd, math.MaxUint32))},
		{name: "argument of a list of 2^32", edit: msgpack(call(be(0xdd, math.MaxUint32)))},
		{name: "map of 2^32", edit: msgpack(call(be(0xdf, math.MaxUint32)))},
		{name: "2 GB of bytes", edit: msgpack(call(be(0xc6, math.MaxInt32)))},
		{name: "4 GB of text", edit: msgpack(call(be(0xdb, math.MaxUint32)))},
		{name: "4 GB of extension", edit: msgpack(call(be(0xc9, math.MaxUint32) + "\xff"))},
		{name: "extension", edit: msgpack(call("\xc7\x01\x05x"))},
		{name: "byte that is never used", edit: msgpack(call("\xc1"))},
		{name: "list as a key", edit: msgpack(call("\x81\x91\x00\x00"))},
		{name: "msgpack 10^6 deep", edit: msgpack(strings.Repeat("\x91", mb))},
		{name: "argument 10^6 deep", edit: msgpack("\x93\x91" + strings.Repeat("\x91", mb))},
		{name: "maps 10^6 deep", edit: msgpack("\x93\x91" + strings.Repeat("\x81\xa0", mb))},
		{name: "timestamp beyond all years", edit: msgpack(call("\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"))},
		{name: "10^6 arguments", edit: msgpack("\x93" + be(0xdd, mb) + strings.Repeat("\xc0", mb) + "\x80\x80")},
		{name: "10^6 names", edit: msgpack("\x93\x90" + be(0xdf, mb) + strings.Repeat("\xa0\xc0", mb) + "\x80")},
		{name: "JSON arguments", edit: body("[[" + strings.Repeat("0,", int(many)*mb/8))},
		{name: "billion laughs", edit: yaml(laughs.String())},
		{name: "alias of itself", edit: yaml("&a [*a]")},
		{name: "object of Python", edit: yaml("[[!!python/object/apply:os.system [ls]], {}, {}]")},
		{name: "merge key", edit: yaml("[[], {<<: {text: x}}, {}]")},
		{name: "YAML 60,000 deep", edit: yaml(strings.Repeat("[", 60_000))},
		{name: "3 MiB of YAML", edit: yaml(strings.Repeat("x ", 3*mb/2))},
		{name: "two documents", edit: yaml("[[], {}, {}]\n---\n[[], {}, {}]")},
	}
	for i := range out {
		if out[i].dead == "" {
			out[i].dead = task.ReasonUndecodable
		}
	}
	if !long {
		return out
	}
	large := func(name, serializer, text string) poison {
		squeezed := squeeze([]byte(text))
		return poison{name: name, dead: task.ReasonBadArguments, edit: func(m *task.Message) {
			m.ContentType, m.Headers["compression"], m.Body = "application/"+serializer, "application/zstd", squeezed
		}}
	}
	kwargs := func(name, value string) string {
		return strings.Replace(string(jsonCall(map[string]any{name: "@"})), `"@"`, value, 1)
	}
	return append(out,
		large("maps for any", "json", kwargs("any", "["+strings.Repeat("{},", int(many)*mb/3)+"{}]")),
		large("texts", "json", kwargs("tags", "["+strings.Repeat(`"",`, int(many)*mb/3)+`""]`)),
		large("texts in msgpack", "x-msgpack", "\x93\x90\x81\xa4tags"+be(0xdd, many*mb)+strings.Repeat("\xa0", int(many)*mb)+"\x80"),
	)
}

func misbehaviours() []poison {
	var out []poison
	for do, failure := range map[string]string{
		"panic":                        "panic: on purpose",
		"panic with nil":               "panic called with nil",
		"panic with an error":          "panic",
		"panic with 20 MiB":            "panic: xxx",
		"nil map":                      "assignment to entry in nil map",
		"Goexit":                       "has ended its goroutine",
		"unspeakable error":            "whose Error method panics",
		"endless error":                "a cycle",
		"error of 20 MiB":              "xxx",
		"result that can't be written": "can't be encoded",
		"result of 17 MiB":             "more than the limit of",
	} {
		out = append(out, poison{name: do, edit: misbehaving(do), failure: failure, slow: do == "result of 17 MiB"})
	}
	return append(out, poison{name: "blocks until its time is over", failure: "SoftTimeLimitExceeded", edit: func(m *task.Message) {
		misbehaving("block")(m)
		m.Headers["timelimit"] = []any{nil, 0.2}
	}})
}

func misbehaving(do string) func(*task.Message) {
	return func(m *task.Message) {
		m.Task = "faults.rude"
		m.Headers["task"], m.Body = m.Task, fmt.Appendf(nil, "[[%q], {}, {}]", do)
	}
}
