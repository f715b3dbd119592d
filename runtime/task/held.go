package task

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// HeldTask is a task that a worker has: it waits there, or runs.
type HeldTask struct {
	ID, Name string
	// Shadow is what the sender wants it called in what people see. "": its name.
	Shadow   string
	Delivery DeliveryInfo
	Retries  int
	// Started is when it began to run. Zero: it waits.
	Started time.Time
	// Due is when it may start, if it waits for its ETA or for the rate limit of its task.
	Due time.Time
	// Acked says that the broker does not have it any more.
	Acked bool

	request *request
}

// maxShown is how large a body may be whose arguments are shown, in bytes, on the wire and decompressed.
const maxShown = 64 << 10

func (w *Worker) view(r *request, due time.Time) HeldTask {
	shadow, _ := textHeader(r.message.Headers, "shadow", "")
	return HeldTask{
		ID: r.id, Name: r.name, Shadow: shadow, Delivery: w.executor.info(r).Delivery, Retries: r.retries,
		Due: due, request: r,
	}
}

// Active are the tasks that run, the longest first.
func (w *Worker) Active() []HeldTask {
	out := []HeldTask{}
	for _, r := range w.watchdog.running() {
		t := w.view(r, time.Time{})
		t.Started, t.Acked = r.began, r.entry.spec.AckEarly
		out = append(out, t)
	}
	sortHeld(out)
	return out
}

// Reserved are the tasks that have not started, and would if there were a slot for them.
func (w *Worker) Reserved() []HeldTask {
	reserved, _ := w.waiting()
	return reserved
}

// Scheduled are the tasks that wait here for their ETA or for the rate limit of their task, the next first. Others
// that are for later wait in the broker.
func (w *Worker) Scheduled() []HeldTask {
	_, scheduled := w.waiting()
	return scheduled
}

func (w *Worker) waiting() (reserved, scheduled []HeldTask) {
	reserved, scheduled = []HeldTask{}, []HeldTask{}
	turns, now := w.limits.turns(), w.executor.now()
	for _, r := range w.held.all() {
		due := turns[r]
		if r.eta.After(now) {
			due = r.eta
		}
		if due.IsZero() {
			reserved = append(reserved, w.view(r, due))
		} else {
			scheduled = append(scheduled, w.view(r, due))
		}
	}
	sortHeld(reserved)
	sortHeld(scheduled)
	return reserved, scheduled
}

func sortHeld(all []HeldTask) {
	slices.SortFunc(all, func(a, b HeldTask) int {
		return cmp.Or(a.Started.Compare(b.Started), a.Due.Compare(b.Due), strings.Compare(a.ID, b.ID))
	})
}

// Arguments are those of the message as it has them, by position and by name, decoded now, with the secret ones as "***". ok
// is false if they can't be decoded, or are larger than 64 KiB.
func (t *HeldTask) Arguments() (args []any, kwargs map[string]any, ok bool) {
	body, err := decompress(t.request.message, maxShown)
	if err != nil || len(body) > maxShown {
		return nil, nil, false
	}
	var tree any
	err = guard(func() (err error) {
		tree, err = t.request.serializer.DecodeTree(body)
		return err
	})
	if err != nil {
		return nil, nil, false
	}
	switch v := tree.(type) {
	case []any: // [args, kwargs, embed]
		if len(v) == 3 { //nolint:mnd // see above
			args, _ = v[0].([]any)
			kwargs, _ = v[1].(map[string]any)
		}
	case map[string]any: // Celery's first protocol
		args, _ = v["args"].([]any)
		kwargs, _ = v["kwargs"].(map[string]any)
	}
	if args == nil || kwargs == nil {
		return nil, nil, false
	}
	t.conceal(args, kwargs)
	return args, kwargs, true
}

// conceal covers the secret arguments.
func (t *HeldTask) conceal(args []any, kwargs map[string]any) {
	secret := t.request.entry.spec.Secret
	if len(secret) == 0 {
		return
	}
	for _, name := range secret {
		if _, ok := kwargs[name]; ok {
			kwargs[name] = "***"
		}
	}
	for i, name := range codec.FieldNames(t.request.entry.prepare().visit) {
		if i < len(args) && slices.Contains(secret, name) {
			args[i] = "***"
		}
	}
}

// ArgumentsText is what [HeldTask.Arguments] returns as Python would show it: what the sender says of them if nothing
// is secret, at most 1,024 characters each.
func (t *HeldTask) ArgumentsText() (args, kwargs string) {
	headers := t.request.message.Headers
	args, _ = textHeader(headers, "argsrepr", "")
	kwargs, _ = textHeader(headers, "kwargsrepr", "")
	if args != "" && kwargs != "" && len(t.request.entry.spec.Secret) == 0 {
		return shorten(args, maxRepr), shorten(kwargs, maxRepr)
	}
	list, named, ok := t.Arguments()
	if !ok {
		return unshown, unshown
	}
	return codec.ReprTuple(list, maxRepr), codec.ReprTree(named, maxRepr)
}
