package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

// captured is a message of a real Celery worker or client.
type captured struct {
	RoutingKey string            `json:"routing_key"`
	Headers    map[string]any    `json:"headers"`
	Types      map[string]string `json:"header_types"`
	Body       string            `json:"body_text_if_utf8"`
}

type capture struct {
	Request captured   `json:"request"`
	Replies []captured `json:"replies"`
}

// scene is what the worker was doing when a fixture was captured.
type scene struct {
	running, reserved, scheduled string // ids
	revoked                      []string
	events                       bool // -E
	again                        bool // the command was given once before
}

const (
	firstID  = "c03805a2-436b-43e2-a36f-58b473d3ec86"
	secondID = "03475315-aa3c-448c-89bb-25547ea080c0"
	laterID  = "9456dd03-43ed-4d72-8762-9997d0e5a3cf"
	waitsID  = "9d1f8a29-581b-4061-8d04-ad6022147914"
)

var scenes = map[string]scene{
	"inspect-active":        {running: firstID},
	"inspect-active-safe":   {running: firstID},
	"inspect-reserved":      {running: firstID, reserved: waitsID},
	"inspect-scheduled":     {scheduled: laterID},
	"inspect-query_task":    {running: firstID, reserved: waitsID},
	"inspect-revoked":       {revoked: []string{waitsID}},
	"inspect-revoked-hello": {revoked: []string{waitsID}},
	"inspect-stats":         {},
	"revoke-terminate":      {running: firstID},
	"terminate":             {running: secondID},
	"disable_events":        {events: true},
	"enable_events-with-E":  {events: true},
	"enable_events-again":   {again: true},
}

// elsewhere are fixtures of what a Go worker does not have, and does otherwise on purpose.
var elsewhere = map[string]string{
	"autoscale":               "a Go worker has no autoscaling",
	"pool_grow-autoscale":     "a Go worker has no autoscaling",
	"inspect-stats-autoscale": "a Go worker has no autoscaling",
	"inspect-stats-threads":   "of another pool of Celery's",
	"inspect-stats-solo":      "of another pool of Celery's",
	"disable_events-with-E":   "Celery says that they are disabled already, and sends them",
	"pool_restart":            "a Go worker answers as a Celery worker without worker_pool_restarts",
	"active_queues-two":       "see inspect-active_queues",
	"inspect-ping-two":        "see TestTwoWorkers",
}

// flags are the events of a test.
type flags struct{ on bool }

func (f *flags) Enable() bool  { was := f.on; f.on = true; return !was }
func (f *flags) Disable() bool { was := f.on; f.on = false; return was }
func (f *flags) Heartbeat()    {}

// TestCaptured answers the captured requests, and holds the answers against those of Celery's worker: the same keys and types of
// values, and the same texts where they are not about the worker itself.
func TestCaptured(t *testing.T) {
	files, err := filepath.Glob("../../testdata/celery/control-*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no fixtures", err)
	}
	onBrokers(t, func(t *testing.T, shared *world) {
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "control-"), ".json")
			if elsewhere[name] != "" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				w := &world{T: t, ctx: ctx, url: shared.url, queue: "control-" + uuid.NewString(), released: make(chan struct{})}
				if strings.HasPrefix(w.url, "amqp") {
					t.Cleanup(w.deleteQueues)
				}
				w.answerCaptured(file, scenes[name])
			})
		}
	})
}

func (w *world) answerCaptured(file string, s scene) {
	text, err := os.ReadFile(file)
	w.check(err)
	worker := "cap-" + uuid.NewString() + "@proto"
	text = bytes.ReplaceAll(text, []byte("cap@proto"), []byte(worker))
	text = bytes.ReplaceAll(text, []byte("cap@*"), []byte(worker[:20]+"*"))
	var c capture
	w.check(json.Unmarshal(text, &c))
	running := w.serve(worker, func(_ *task.WorkerConfig, c *control.Config) { c.Events = &flags{on: s.events} })
	w.play(running, s)
	got := w.ask(&c, worker)
	if s.again {
		got = w.ask(&c, worker)
	}
	want := c.Replies
	if len(want) == 0 {
		if got != nil {
			w.Errorf("Celery does not answer, and the Go worker says %s", got.Body)
		}
		return
	}
	if got == nil {
		w.Fatalf("no answer came; Celery's is %s", want[0].Body)
	}
	if got.Headers["ticket"] != want[0].Headers["ticket"] {
		w.Errorf("ticket %v, want %v", got.Headers["ticket"], want[0].Headers["ticket"])
	}
	if _, ok := got.Headers["clock"].(int32); !ok {
		w.Errorf("the header clock is a %T, want an int32", got.Headers["clock"])
	}
	if got.ContentType != "application/json" || got.ContentEncoding != "utf-8" {
		w.Errorf("content type %q and encoding %q", got.ContentType, got.ContentEncoding)
	}
	if diff := compare(want[0].Body, string(got.Body)); diff != "" {
		w.Errorf("%s\nCelery says   %.2000s\nGo says       %.2000s", diff, want[0].Body, got.Body)
	}
}

// play brings a worker into the state of a scene.
func (w *world) play(worker *server, s scene) {
	ctx := w.client()
	send := func(name, id string, options ...task.Option) {
		_, err := w.task(name).With(append(options, task.ID(id))...).Send(ctx, &slowArgs{40, "x"})
		w.check(err)
	}
	if s.running != "" {
		send("py.slow", s.running)
		other := secondID
		if s.running == secondID {
			other = firstID
		}
		send("py.slow", other)
		w.eventually("two tasks run", func() bool { return len(worker.Active()) == 2 })
	}
	if s.reserved != "" {
		send("py.slow", s.reserved)
		w.eventually("a task waits", func() bool { return len(worker.Reserved()) == 1 })
	}
	if s.scheduled != "" {
		// Where a broker keeps all that is for later, only tasks over their rate limit wait here.
		w.check(worker.SetRateLimit("py.add", task.PerHour))
		send("py.add", uuid.NewString())
		send("py.add", s.scheduled)
		w.eventually("a task is scheduled", func() bool { return len(worker.Scheduled()) == 1 })
	}
	worker.Revoke(s.revoked...)
}

// ask sends a captured request as it is, and returns the answer; nil if the worker answers something that was asked after it.
func (w *world) ask(c *capture, worker string) *task.Broadcast {
	t := w.open()
	var r struct {
		Ticket  string `json:"ticket"`
		ReplyTo struct {
			RoutingKey string `json:"routing_key"`
		} `json:"reply_to"`
	}
	own := uuid.NewString()
	w.check(json.Unmarshal([]byte(c.Request.Body), &r))
	body := c.Request.Body
	if r.ReplyTo.RoutingKey != "" {
		body = strings.ReplaceAll(body, r.ReplyTo.RoutingKey, own)
	}
	answers := make(chan *task.Broadcast, 100)
	listener, err := t.Listen(task.ListenConfig{
		Queue: own + ".reply.celery.pidbox", Exchange: task.Bulletin{Name: "reply.celery.pidbox", Type: task.Direct}, Keys: []string{own},
		Deliver: func(b *task.Broadcast) { answers <- b },
	})
	w.check(err)
	defer listener.Close()
	w.check(listener.Ready(w.ctx))
	// Behind the request a ping, whose answer comes after that of the request.
	ping := fmt.Sprintf(`{"method": "ping", "arguments": {}, "destination": [%q], "ticket": "last", "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": %q}}`, worker, own)
	for _, body := range []string{body, ping} {
		w.check(t.Broadcast(w.ctx, &task.Broadcast{
			Exchange: task.Bulletin{Name: "celery.pidbox", Type: task.Fanout}, ContentType: "application/json", ContentEncoding: "utf-8",
			Headers: map[string]any{"clock": int32(5), "expires": 1795344928.8227265}, Body: []byte(body),
		}))
	}
	var answer *task.Broadcast
	for {
		select {
		case b := <-answers:
			var byWorker map[string]any
			w.check(json.Unmarshal(b.Body, &byWorker))
			if _, ok := byWorker[worker]; !ok || len(byWorker) != 1 {
				continue // another test's worker was asked too
			}
			if b.Headers["ticket"] == "last" {
				return answer
			}
			answer = b
		case <-w.ctx.Done():
			w.Fatal("no answer came")
		}
	}
}

// opaque are maps whose keys are the worker's own, and lists and texts that are about it.
var opaque = []string{"args", "kwargs", "total", "rusage", "processes", "writes", "max-tasks-per-child", "queue_arguments"}

// compare says what is different in the structure of two answers.
func compare(want, got string) string {
	a, b := number(want), number(got)
	// An answer is a map of one worker.
	for worker, value := range a.(map[string]any) {
		other := b.(map[string]any)[worker]
		if m, ok := value.(map[string]any); ok && m["broker_url"] != nil {
			return settings(other)
		}
		return differ("", value, other)
	}
	return "no worker"
}

// number decodes JSON with numbers as they are written.
func number(text string) (tree any) {
	text = strings.ReplaceAll(text, ": Infinity", ": 0") // which is Python's, not JSON
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return err.Error()
	}
	return tree
}

// settings wants a map with text keys, and a URL without a password.
func settings(v any) string {
	m, ok := v.(map[string]any)
	if !ok || m["broker_url"] == nil || strings.Count(fmt.Sprint(m["accept_content"]), "json") != 1 || strings.Contains(fmt.Sprint(m["broker_url"]), "guest:guest") {
		return fmt.Sprint("the settings are ", v)
	}
	return ""
}

var idForm = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// sameText says whether two texts are the same but for the order of ids in them. A report is about the worker.
func sameText(key, want, got string) bool {
	if key != "ok" && key != "error" || strings.Contains(want, "software ->") {
		return true
	}
	order := func(text string) string {
		ids := idForm.FindAllString(text, -1)
		slices.Sort(ids)
		return idForm.ReplaceAllString(text, "ID") + strings.Join(ids, " ")
	}
	return order(want) == order(got)
}

func differ(at string, want, got any) string {
	key := at[strings.LastIndex(at, "/")+1:]
	if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
		if slices.Contains(opaque, key) && got != nil {
			return ""
		}
		return fmt.Sprintf("%s: %T, want %T", at, got, want)
	}
	switch want := want.(type) {
	case map[string]any:
		got := got.(map[string]any)
		if slices.Contains(opaque, key) {
			return ""
		}
		if key == "revoked" || isIDs(want) {
			for id, value := range got {
				other, ok := want[id]
				for _, some := range want {
					if !ok {
						other = some
					}
				}
				if d := differ(at, other, value); d != "" {
					return d
				}
			}
			return ""
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if _, ok := got[k]; !ok {
				return fmt.Sprintf("%s: no key %s", at, k)
			}
			if d := differ(at+"/"+k, want[k], got[k]); d != "" {
				return d
			}
		}
		for k := range got {
			if _, ok := want[k]; !ok && k != "taskgen" {
				return fmt.Sprintf("%s: key %s is one that Celery does not have", at, k)
			}
		}
	case []any:
		got := got.([]any)
		if slices.Contains(opaque, key) {
			return ""
		}
		if len(want) > 0 && len(got) == 0 {
			return fmt.Sprintf("%s: nothing in it", at)
		}
		for i := range got {
			if d := differ(at, want[min(i, len(want)-1)], got[i]); d != "" {
				return d
			}
		}
	case json.Number:
		if strings.Contains(want.String(), ".") != strings.Contains(string(got.(json.Number)), ".") {
			return fmt.Sprintf("%s: %s, want a number like %s", at, got, want)
		}
	case string:
		if !sameText(key, want, got.(string)) {
			return fmt.Sprintf("%s: %q, want %q", at, got, want)
		}
	}
	return ""
}

// isIDs says whether the keys of a map are the ids of tasks.
func isIDs(m map[string]any) bool {
	for k := range m {
		if !idForm.MatchString(k) {
			return false
		}
	}
	return len(m) > 0
}
