package task

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/frugal"
)

// capturedPaths are the files of messages that were captured from Celery, of all versions.
func capturedPaths(t testing.TB, prefix string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(filepath.Join("..", "..", "testdata", "celery"), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), prefix) && filepath.Ext(path) == ".json" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d captured messages: %v", len(paths), err)
	}
	return paths
}

// fuzzHeaders reads headers from JSON. Whole numbers are those that AMQP clients write.
func fuzzHeaders(text string) (headers map[string]any, ok bool) {
	if json.Unmarshal([]byte(text), &headers) != nil {
		return nil, false
	}
	for key, value := range headers {
		if n, number := value.(float64); number && n == math.Trunc(n) && math.Abs(n) <= math.MaxInt32 {
			headers[key] = int32(n)
		}
	}
	return headers, true
}

// anyArguments takes two arguments of any kind.
type anyArguments struct{ A, B any }

func (a *anyArguments) Visit(f codec.Fields) {
	codec.Any(f.Field("a"), &a.A)
	codec.Any(f.Field("b"), &a.B)
}

// fuzzExecutor runs nothing; it knows one task, which takes two arguments.
func fuzzExecutor(t testing.TB) (*executor, *Entry) {
	t.Helper()
	e := &executor{
		registry: NewRegistry(), maxBody: 1 << 20, maxDecompressed: 1 << 20, name: "worker@host",
		now:    func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) },
		logger: slog.New(slog.DiscardHandler),
	}
	e.client = NewClient(&eagerTransport{results: map[string]*Result{}}, ClientConfig{})
	for _, name := range codec.Names() {
		s, _ := codec.ByName(name)
		e.accept = append(e.accept, s.ContentType())
	}
	Define[anyArguments](Spec{Name: "py.task", Queue: "q"}, codec.String[string]).Handle(e.registry, nil)
	entry, ok := e.registry.Lookup("py.task")
	if !ok {
		t.Fatal(e.registry.Err())
	}
	return e, entry
}

// FuzzMessage: whatever a message has in its headers, properties and body, it is a task that can be decoded or that is
// parked with a reason, its caller can be told, the next attempt is the same task, and what follows are tasks that
// can be read as well.
func FuzzMessage(f *testing.F) {
	for _, path := range append(capturedPaths(f, "task-v2-"), capturedPaths(f, "task-v1-")...) {
		m := readCaptured(f, path)
		headers, err := json.Marshal(m.Headers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(headers), m.ContentType, m.ContentEncoding, m.ID, m.ReplyTo, m.Body)
	}
	const least = `{"task": "py.task", "id": "42"}`
	for _, headers := range []string{
		`null`, `{}`, least, `{"task": "", "id": ""}`, `{"task": 1, "id": 1}`, `{"task": ["py.task"], "id": {"a": 1}}`, `{"task": "py.task\r\n\u0000\u001b[31m\u2028", "id": "a\nb"}`,
		`{"task": "` + strings.Repeat("x", 100_000) + `", "id": "42"}`, `{"task": "py.task", "id": "` + strings.Repeat("x", 100_000) + `"}`,
		`{"task": "py.task", "id": "42", "timelimit": 3}`, `{"task": "py.task", "id": "42", "timelimit": [1e308, -1]}`, `{"task": "py.task", "id": "42", "timelimit": [null, 0.0000001]}`,
		`{"task": "py.task", "id": "42", "retries": 2147483647}`, `{"task": "py.task", "id": "42", "retries": 2147483648}`, `{"task": "py.task", "id": "42", "retries": -1}`,
		`{"task": "py.task", "id": "42", "compression": "application/x-gzip"}`, `{"task": "py.task", "id": "42", "compression": 7}`, `{"task": "py.task", "id": "42", "compression": "` + strings.Repeat("x", 1000) + `"}`,
		`{"task": "py.task", "id": "42", "eta": "9999-12-31T23:59:59.999999+00:00", "expires": "0001-01-01T00:00:00"}`, `{"task": "py.task", "id": "42", "x-death": [{"count": 1}], "x-y": 1}`,
		`{"task": "py.task", "id": "42", "root_id": 7}`, `{"task": "py.task", "id": "42", "ignore_result": "yes", "parent_id": "\ud800"}`,
		`{"task": "py.task", "id": "42", "deep": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		f.Add(headers, "application/json", "utf-8", "42", "reply", []byte(`[[1, "b"], {}, {}]`))
	}
	for _, body := range []string{
		``, `null`, `{"a":1}`, `[]`, `[[]]`, `[[],{}]`, `[[],{},{},{}]`, `[{},[],{}]`, `[[1],{"a":2},{}]`, `[[1,2,3],{},{}]`, `[[],{"a":1,"b":2,"c":3},null]`,
		`[[1,2],{},{"callbacks":` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}]`, `[[1,2],{},{}] x`, "\ufeff[[1,2],{},{}]", `[[NaN,1e400],{},{}]`,
		"\x93\x92\x01\x02\x80\x80", "\x93\xdd\xff\xff\xff\xff\x80\x80", "- [1, 2]\n- {}\n- {}\n", "x\x9c\x00", "\x80\x04\x95",
	} {
		for _, contentType := range []string{"application/json", "application/x-msgpack", "application/x-yaml", "application/x-python-serialize", "text/plain", ""} {
			f.Add(least, contentType, "utf-8", "", "", []byte(body))
		}
	}
	e, entry := fuzzExecutor(f)
	f.Fuzz(func(t *testing.T, headers, contentType, contentEncoding, correlationID, replyTo string, body []byte) {
		read := func() (*request, *rejection) {
			h, ok := fuzzHeaders(headers)
			if !ok {
				t.Skip()
			}
			m := &Message{
				ID: correlationID, Queue: "q", ReplyTo: replyTo, ContentType: contentType, ContentEncoding: contentEncoding, Headers: h, Body: body,
			}
			return fuzzRead(t, e, entry, &Delivery{Message: m})
		}
		r, rejected := read()
		again, rejectedAgain := read()
		if diff := cmp.Diff(summary(r, rejected), summary(again, rejectedAgain)); diff != "" {
			t.Errorf("read twice: %s", diff)
		}
		if rejected != nil {
			checkParked(t, e, r, rejected)
			return
		}
		checkNextAttempt(t, e, r)
		checkFollowing(t, e, r)
	})
}

// checkFollowing holds that what follows a success and a failure, if it can be sent at all, can be read again.
func checkFollowing(t *testing.T, e *executor, r *request) {
	t.Helper()
	succeeded, _ := e.succeed(r, func(v codec.Value) { v.String("value") })
	failed, _ := e.end(r, Failure, errors.New("failed"))
	for _, m := range slices.Concat(succeeded.Publish, failed.Publish) {
		next, rejected := e.read(&Delivery{Message: m})
		if rejected != nil && rejected.reason != ReasonUnknownTask {
			t.Fatalf("what follows is rejected: %v\n%v %q", rejected, m.Headers, m.Body)
		}
		if next.id != m.ID || next.parentID != r.id || next.rootID != r.rootID {
			t.Errorf("what follows %s is %s, child of %s, of %s", r.id, next.id, next.parentID, next.rootID)
		}
		if e.peek(next) == nil {
			t.Errorf("what follows %s after that can't be read: %q", r.id, m.Body)
		}
	}
	for _, result := range slices.Concat(succeeded.Others, failed.Others) {
		if failure, err := readResult(result, "t", nil); err != nil || failure == nil {
			t.Errorf("a step that is left out tells of %v, %v", failure, err)
		}
	}
}

// fuzzRead reads a delivery as a worker does, down to its arguments.
func fuzzRead(t *testing.T, e *executor, entry *Entry, d *Delivery) (r *request, rejected *rejection) {
	frugal.Check(t, func() {
		r, rejected = e.read(d)
		if rejected != nil && rejected.reason != ReasonUnknownTask {
			return
		}
		r.entry = entry // so that what comes under other names is decoded too
		_, rejected = e.decode(r)
	})
	return r, rejected
}

// summary is what two readings of one message have in common.
func summary(r *request, rejected *rejection) map[string]any {
	s := map[string]any{
		"id": r.id, "name": r.name, "root": r.rootID, "parent": r.parentID, "retries": r.retries,
		"eta": r.eta.UnixNano(), "expires": r.expires.UnixNano(), "timeout": r.timeout, "ignore": r.ignoreResult,
	}
	if rejected != nil {
		s["reason"] = rejected.reason
	}
	return s
}

// checkParked holds what becomes of a message that can't be run.
func checkParked(t *testing.T, e *executor, r *request, rejected *rejection) {
	t.Helper()
	o := e.rejected(r, rejected)
	if o.Dead == nil || o.Dead.Reason == "" || o.Dead.Error == "" || !utf8.ValidString(o.Dead.Error) {
		t.Fatalf("parked as %+v", o.Dead)
	}
	if o.Result == nil {
		if r.id != "" && utf8.ValidString(r.id) {
			t.Errorf("the caller of %q is not told: %v", r.id, rejected)
		}
		return
	}
	failure, err := readResult(o.Result, "t", nil)
	if err != nil || failure == nil || failure.State != Failure || failure.Type != rejected.excType {
		t.Errorf("the caller reads %+v, %v of %v", failure, err, rejected)
	}
}

// checkNextAttempt holds that a retry is the same task, once more.
func checkNextAttempt(t *testing.T, e *executor, r *request) {
	t.Helper()
	if r.name == "" || r.id == "" || r.retries < 0 || r.timeout < 0 || !utf8.ValidString(r.id) || !utf8.ValidString(r.name) {
		t.Fatalf("accepted %+v", r)
	}
	before := maps.Clone(r.message.Headers)
	next, err := e.next(r, verdict{state: Retried, delay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, r.message.Headers) { // cmp takes for ever on deep lists
		t.Errorf("the headers of the first attempt were %v and are %v", before, r.message.Headers)
	}
	if r.retries == math.MaxInt32 {
		return
	}
	second, rejected := readRequest(&Delivery{Message: next})
	if rejected != nil {
		t.Fatalf("the next attempt is rejected: %v", rejected)
	}
	if second.id != r.id || second.name != r.name || second.retries != r.retries+1 || second.rootID != r.rootID || second.parentID != r.id ||
		!second.eta.Equal(e.now().Add(time.Second)) || !second.expires.Equal(r.expires) || second.timeout != r.timeout {
		t.Errorf("%+v is followed by %+v", summary(r, nil), summary(second, nil))
	}
}

// FuzzTimes: times and limits in headers are read so that no timer overflows, and what is read is read again as it was
// after it has been written.
func FuzzTimes(f *testing.F) {
	for _, path := range capturedPaths(f, "task-v2-") {
		m := readCaptured(f, path)
		for _, header := range []string{"eta", "expires"} {
			if text, ok := m.Headers[header].(string); ok {
				f.Add(text, 1.0, 2.0)
			}
		}
	}
	for _, text := range []string{
		"", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "0000-01-01T00:00:00", "9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.999999-14:00",
		"10000-01-01T00:00:00", "2016-12-31T23:59:60Z", "2026-07-01T24:00:00", "2026-07-01T12:00:00+14:00", "2026-07-01T12:00:00-23:59", "2026-07-01T12:00:00+24:00",
		"-2026-07-01T12:00:00", "2026-07-01", "2026-07-01T12", "2026-07-01T12:00", "20260701T120000Z", "2026-W27-3", "2026-07-01 12:00:00.123456", "2026-07-01T12:00:00,5",
		"2026-02-30T00:00:00", "1751371200", "1e300", "NaN", "tomorrow", "2026-07-01T12:00:00.1234567890123456789", "２０２６-07-01T12:00:00", "2026-07-01T12:00:00\x00",
	} {
		for _, limit := range []float64{0, -1, 1e-10, 1.5, 1e9, 3.2e9, 1e300, math.Inf(1), math.Inf(-1), math.NaN()} {
			f.Add(text, limit, 3.0)
		}
	}
	f.Fuzz(func(t *testing.T, text string, hard, soft float64) {
		m := &Message{Headers: map[string]any{"task": "t", "id": "42", "eta": text, "expires": text, "timelimit": []any{hard, soft}}}
		r, rejected := readRequest(&Delivery{Message: m})
		if rejected != nil {
			return
		}
		if r.timeout < 0 || r.timeout > maxTimeLimit {
			t.Errorf("limits of %v and %v s are %v", hard, soft, r.timeout)
		}
		now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
		if wait := r.eta.Sub(now); r.eta.After(now) != (wait > 0) {
			t.Errorf("%q is %v, in %v", text, r.eta, wait)
		}
		if r.eta.IsZero() || r.eta.Year() < 1 || r.eta.Year() > 9999 {
			return
		}
		written := r.eta.Format(timeFormat)
		back, err := parseTime(written)
		if err != nil || !back.Equal(r.eta.Truncate(time.Microsecond)) {
			t.Errorf("%q was written as %q and read as %v, %v", text, written, back, err)
		}
	})
}

// FuzzResult: results from whoever can write to the reply queue are a value, a failure made of text, or an error. No type is looked
// up by its name.
func FuzzResult(f *testing.F) {
	for _, path := range capturedPaths(f, "result-rpc-") {
		if m := readCaptured(f, path); len(m.Body) > 0 {
			for _, state := range []State{Success, Failure} {
				f.Add(string(state), m.ContentType, m.Body)
			}
		}
	}
	for _, name := range codec.Names() {
		s, _ := codec.ByName(name)
		for _, failure := range []*TaskError{nil, {Type: "T", Module: "m", Message: "text", Traceback: "stack"}} {
			body, err := writeResult(s, "42", Success, func(v codec.Value) { v.String("value") }, failure, nil)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(Failure), s.ContentType(), body)
			f.Add(string(Success), s.ContentType(), body)
		}
	}
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"result": null}`, `{"result": "text"}`, `{"result": {"exc_type": "system", "exc_module": "os", "exc_message": ["rm -rf /"]}}`,
		`{"result": {"exc_type": ["os"], "exc_module": {"a": 1}, "exc_message": {"b": [1, null, {"c": 2}]}}}`,
		`{"result": {"exc_type": "E", "exc_message": ` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}}`,
		`{"result": {"exc_type": "E", "exc_message": [1, 2.5, true, null, "\u2028"]}, "traceback": "` + strings.Repeat("x", 100_000) + `"}`,
		`{"status": "SUCCESS", "result": 1, "result": {"exc_type": "E"}}`, `{"result": 1, "children": [[["a", null], [["a", null], null]]]}`, `{"result": NaN} x`,
	} {
		for _, state := range []State{Success, Failure, Revoked, Retried, Started, Pending, "", "CUSTOM"} {
			f.Add(string(state), "application/json", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, state, contentType string, body []byte) {
		stored := &Result{ID: "42", State: State(state), ContentType: contentType, Body: body}
		var value any
		var failure *TaskError
		var err error
		frugal.Check(t, func() {
			failure, err = readResult(stored, "t", func(v codec.Value) { codec.Any(v, &value) })
		})
		if err != nil {
			if failure != nil || err.Error() == "" {
				t.Errorf("both %v and %v", failure, err)
			}
			return
		}
		if told := stored.State == Failure || stored.State == Revoked || stored.State == Retried; told != (failure != nil) {
			t.Fatalf("state %q: %+v", state, failure)
		}
		if failure == nil {
			return
		}
		_ = failure.Error()
		for _, text := range []string{failure.Type, failure.Module, failure.Message, failure.Traceback} {
			if !utf8.ValidString(text) {
				return // msgpack and kombu's envelopes can hold it; what we write is text
			}
		}
		s, _ := codec.ByContentType(contentType)
		body, err = writeResult(s, "42", stored.State, nil, failure, nil)
		if err != nil {
			t.Fatalf("%+v can't be written: %v", failure, err)
		}
		again, err := readResult(&Result{ID: "42", State: stored.State, ContentType: contentType, Body: body}, "t", nil)
		if diff := cmp.Diff(failure, again); diff != "" || err != nil {
			t.Errorf("read again: %v %s", err, diff)
		}
	})
}
