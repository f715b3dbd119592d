package task

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgen/taskgen/runtime/codec"
)

// captured is a message that was captured from a real Celery client.
type captured struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
	Properties struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
		CorrelationID   string `json:"correlation_id"`
		ReplyTo         string `json:"reply_to"`
	} `json:"properties"`
	Headers map[string]any `json:"headers"`
	Types   map[string]any `json:"header_types"`
	Body    string         `json:"body_base64"`
}

func readCaptured(t testing.TB, path string) *Message {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c captured
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	body, err := base64.StdEncoding.DecodeString(c.Body)
	if err != nil {
		t.Fatal(err)
	}
	for key, letter := range c.Types {
		if number, ok := c.Headers[key].(float64); ok && letter == "I" {
			c.Headers[key] = int32(number) // as the AMQP client reads it
		}
	}
	return &Message{
		ID: c.Properties.CorrelationID, Exchange: c.Exchange, RoutingKey: c.RoutingKey, Queue: "q", ReplyTo: c.Properties.ReplyTo,
		ContentType: c.Properties.ContentType, ContentEncoding: c.Properties.ContentEncoding, Headers: c.Headers, Body: body,
	}
}

// TestCapturedRequests reads every message of protocol 2 that was captured from Celery 5.2.6, 5.6.3
// and its development branch: all are tasks, and the arguments of those that Go can decode are there.
func TestCapturedRequests(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"application/x-python-serialize": "pickle runs code: never",
		"application/data":               "signed messages are not supported",
	}
	read := 0
	err := filepath.WalkDir(filepath.Join("..", "..", "testdata", "celery"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(filepath.Base(path), "task-v2-") || filepath.Ext(path) != ".json" {
			return err
		}
		t.Run(strings.TrimSuffix(path, ".json"), func(t *testing.T) {
			m := readCaptured(t, path)
			if len(m.Body) == 0 {
				t.Skip("the capture tells of a message that Celery refused to send")
			}
			r, rejected := readRequest(&Delivery{Message: m})
			if rejected != nil {
				t.Fatal(rejected)
			}
			if r.id != m.Headers["id"] || r.name != m.Headers["task"] {
				t.Errorf("read as task %q, id %q", r.name, r.id)
			}
			if refused[m.ContentType] != "" {
				return
			}
			s, ok := codec.ByContentType(m.ContentType)
			if !ok {
				t.Fatalf("no serializer for %s", m.ContentType)
			}
			body := m.Body
			if compression, _ := m.Headers["compression"].(string); compression != "" {
				body, err = codec.Decompress(compression, body, DefaultMaxDecompressed)
				if unsupported := "application/x-lzma application/x-brotli"; err != nil && strings.Contains(unsupported, compression) {
					return // and the worker parks it with that error
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			tree, err := s.DecodeTree(body)
			if err != nil {
				t.Fatal(err)
			}
			if parts, _ := tree.([]any); len(parts) != 3 {
				t.Errorf("the body is %v, want [args, kwargs, embed]", tree)
			}
		})
		read++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 100 {
		t.Errorf("only %d captured messages were found", read)
	}
}

func TestReadRequest(t *testing.T) {
	t.Parallel()
	headers := func(more map[string]any) map[string]any {
		h := map[string]any{"task": "a.b", "id": "42"}
		maps.Copy(h, more)
		return h
	}
	utc := func(y, mo, d, h, mi, s, ns int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, ns, time.UTC)
	}
	for name, c := range map[string]struct {
		headers map[string]any
		want    *request
	}{
		"least":                {nil, &request{rootID: "42"}},
		"python's nulls":       {map[string]any{"root_id": nil, "eta": nil, "timelimit": []any{nil, nil}, "retries": nil}, &request{rootID: "42"}},
		"retries":              {map[string]any{"retries": int32(2), "root_id": "1", "parent_id": "2"}, &request{retries: 2, rootID: "1", parentID: "2"}},
		"retries, as float":    {map[string]any{"retries": 2.0}, &request{retries: 2, rootID: "42"}},
		"eta":                  {map[string]any{"eta": "2099-01-02T03:04:05.678901+00:00"}, &request{rootID: "42", eta: utc(2099, 1, 2, 3, 4, 5, 678901000)}},
		"eta with an offset":   {map[string]any{"eta": "2099-01-02T03:04:05+05:30"}, &request{rootID: "42", eta: utc(2099, 1, 1, 21, 34, 5, 0)}},
		"eta with +0530":       {map[string]any{"eta": "2099-01-02T03:04:05+0530"}, &request{rootID: "42", eta: utc(2099, 1, 1, 21, 34, 5, 0)}},
		"eta naive":            {map[string]any{"eta": "2099-01-02 03:04:05"}, &request{rootID: "42", eta: utc(2099, 1, 2, 3, 4, 5, 0)}},
		"eta Z":                {map[string]any{"eta": "2099-01-02T03:04:05.123456789Z"}, &request{rootID: "42", eta: utc(2099, 1, 2, 3, 4, 5, 123456789)}},
		"expires in 9999":      {map[string]any{"expires": "9999-12-31T23:59:59+00:00"}, &request{rootID: "42", expires: utc(9999, 12, 31, 23, 59, 59, 0)}},
		"hard limit":           {map[string]any{"timelimit": []any{int32(10), nil}}, &request{rootID: "42", timeout: 10 * time.Second}},
		"soft limit is sooner": {map[string]any{"timelimit": []any{int32(10), 1.5}}, &request{rootID: "42", timeout: 1500 * time.Millisecond}},
		"no limits":            {map[string]any{"timelimit": []any{}}, &request{rootID: "42"}},
		"endless limit":        {map[string]any{"timelimit": []any{math.Inf(1), 1e300}}, &request{rootID: "42"}},
		"ignored":              {map[string]any{"ignore_result": true}, &request{rootID: "42", ignoreResult: new(true)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, rejected := readRequest(&Delivery{Message: &Message{Headers: headers(c.headers)}})
			if rejected != nil {
				t.Fatal(rejected)
			}
			got.eta, got.expires = got.eta.UTC(), got.expires.UTC()
			c.want.id, c.want.name = "42", "a.b"
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(request{}), cmpopts.IgnoreFields(request{}, "delivery", "newer", "message", "keptAs", "runs")); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
	for name, bad := range map[string]map[string]any{
		"no task":            {"task": nil},
		"task is not text":   {"task": "\xff"},
		"id is not text":     {"id": "a\xff"},
		"task is a number":   {"task": int32(1)},
		"no id":              {"id": nil},
		"id too long":        {"id": strings.Repeat("x", 256)},
		"retries negative":   {"retries": int32(-1)},
		"retries text":       {"retries": "1"},
		"retries not finite": {"retries": math.NaN()},
		"eta nonsense":       {"eta": "tomorrow"},
		"expires a number":   {"expires": 12},
		"three time limits":  {"timelimit": []any{1, 2, 3}},
		"limit text":         {"timelimit": []any{"1", nil}},
		"limit a number":     {"timelimit": 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rejected := readRequest(&Delivery{Message: &Message{Headers: headers(bad)}})
			if rejected == nil || !errors.Is(rejected, rejected.err) || rejected.reason == "" {
				t.Errorf("read without a rejection: %v", rejected)
			}
		})
	}
}

// FuzzReadRequest feeds header values of every kind: a request or a rejection, never a panic, and the same each time.
func FuzzReadRequest(f *testing.F) {
	f.Add("a.b", "42", "2099-01-02T03:04:05.678901+00:00", "9999-12-31 23:59:59", 2.0, 1.5, uint8(0))
	f.Add("", "", "24:00", "0001-01-01T00:00:00-14:00", math.Inf(-1), math.NaN(), uint8(7))
	f.Fuzz(func(t *testing.T, task, id, eta, expires string, retries, limit float64, kinds uint8) {
		any1 := func(bit int, text string, number float64) any {
			if kinds>>bit&1 == 1 {
				return []any{text, number, nil}
			}
			return text
		}
		m := &Message{Headers: map[string]any{
			"task": task, "id": id, "eta": any1(0, eta, limit), "expires": any1(1, expires, limit),
			"retries": retries, "timelimit": []any{limit, any1(2, eta, limit)},
		}}
		a, rejectedA := readRequest(&Delivery{Message: m})
		b, rejectedB := readRequest(&Delivery{Message: m})
		if (rejectedA == nil) != (rejectedB == nil) || !a.eta.Equal(b.eta) || a.retries != b.retries {
			t.Fatalf("read twice: %+v, %v and %+v, %v", a, rejectedA, b, rejectedB)
		}
		if rejectedA == nil && (a.name == "" || a.id == "" || a.retries < 0 || a.timeout < 0) {
			t.Fatalf("accepted %+v", a)
		}
	})
}

// What is sent is refused by the rules by which it would be parked.
func TestBounds(t *testing.T) {
	t.Parallel()
	many, deep := map[string]any{}, any("x")
	for i := range 1001 {
		many[strconv.Itoa(i)] = int32(0)
		deep = []any{deep}
	}
	for _, test := range []struct {
		what    string
		headers map[string]any
		reason  string
		err     string
	}{
		{"as many as may be", map[string]any{"list": make([]any, 900)}, "", ""},
		{"printable", map[string]any{"task": "<lambda> é 世界"}, "", ""},
		{"many headers", many, ReasonTooLarge, "more than 1000 values"},
		{"many values", map[string]any{"list": make([]any, 1001)}, ReasonTooLarge, "more than 1000 values"},
		{"deep", map[string]any{"deep": deep}, ReasonTooLarge, "more than 1000 values"},
		{"large value", map[string]any{"x": strings.Repeat("x", 64<<10)}, ReasonTooLarge, "more than 65536 bytes"},
		{"large name", map[string]any{strings.Repeat("x", 64<<10): true}, ReasonTooLarge, "more than 65536 bytes"},
		{"line in the name", map[string]any{"task": "a\nb"}, ReasonBadHeader, "U+000A"},
		{"escape in the name", map[string]any{"task": "a\x1b[31mb"}, ReasonBadHeader, "U+001B"},
		{"line separator in the name", map[string]any{"task": "a\u2028b"}, ReasonBadHeader, "U+2028"},
		{"other direction in the name", map[string]any{"task": "a\u202eb"}, ReasonBadHeader, "U+202E"},
		{"NUL in the name", map[string]any{"task": "a\x00b"}, ReasonBadHeader, "U+0000"},
		{"long name", map[string]any{"task": strings.Repeat("x", 256)}, ReasonBadHeader, "got 256"},
		{"long id", map[string]any{"id": strings.Repeat("x", 256)}, ReasonBadHeader, "got 256"},
		{"delete in the id", map[string]any{"id": "a\x7fb"}, ReasonBadHeader, "U+007F"},
		{"id of another type", map[string]any{"id": int32(1)}, ReasonBadHeader, "want text"},
		{"line in the root id", map[string]any{"root_id": "a\rb"}, ReasonBadHeader, "U+000D"},
		{"long parent id", map[string]any{"parent_id": strings.Repeat("x", 256)}, ReasonBadHeader, "got 256"},
	} {
		headers := map[string]any{"task": "t", "id": "id"}
		maps.Copy(headers, test.headers)
		r, rejected := readRequest(&Delivery{Message: &Message{ID: "correlation", Headers: headers}})
		switch {
		case test.err == "" && rejected == nil:
		case rejected == nil || rejected.reason != test.reason || !strings.Contains(rejected.Error(), test.err):
			t.Errorf("%s: got %v", test.what, rejected)
		case r.id != "id" && r.id != "correlation":
			t.Errorf("%s: nobody is told: the id is %q", test.what, r.id)
		case len(rejected.Error()) > 600:
			t.Errorf("%s: the error has %d bytes", test.what, len(rejected.Error()))
		}
	}
	spec := &Spec{Name: "t"}
	client := NewClient(new(eagerTransport), ClientConfig{})
	for _, test := range []struct {
		name   string
		option Option
		err    string
	}{
		{"t", Header("x", make([]any, 1001)), "more than 1000 values"},
		{"t", Header("x", strings.Repeat("x", 64<<10)), "more than 65536 bytes"},
		{"t", Header("a\nb", true), "name of a header"},
		{"t", Header(strings.Repeat("x", 256), true), "name of a header"},
		{"t", ID("a\u2028b"), "visible characters"},
		{"t", ID(strings.Repeat("x", 256)), "visible characters"},
		{"t", Queue("a\nb"), "no name of a queue"},
		{"t", Exchange("a\nb"), "exchange"},
		{"t", At(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)), "1 to 9999"},
		{"t", ExpiresAt(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)), "1 to 9999"},
		{"a\nb", IgnoreResult(true), "name of the task"},
		{strings.Repeat("x", 256), IgnoreResult(true), "name of the task"},
	} {
		spec.Name = test.name
		o, err := newCallOptions(spec, []Option{test.option})
		if err == nil {
			_, err = client.message(t.Context(), o, func(codec.Fields) {})
		}
		if err == nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %v", test.err, err)
		}
	}
}
