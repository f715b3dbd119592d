package task

import (
	"container/list"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxRevoked is how many revoked tasks a worker remembers, and revokedFor how long (Celery 5: REVOKES_MAX, REVOKE_EXPIRES).
	maxRevoked = 50_000
	revokedFor = 3 * time.Hour
	// maxRevokedStamps bounds the stamps whose tasks are revoked.
	maxRevokedStamps = 1000
)

// Revocation is a task that a worker is not to run.
type Revocation struct {
	ID string
	// Time is when the worker was told. Zero, for AddRevocations: now, if it was not told before.
	Time time.Time
}

// revocations are those that a worker remembers.
type revocations struct {
	now func() time.Time
	// some says that there are any: else a task costs no more than this.
	some atomic.Bool

	mu    sync.Mutex
	byID  map[string]*list.Element
	order *list.List // of Revocation, oldest first
	// stamps are those whose tasks are revoked: name → values.
	stamps map[string]map[string]struct{}
	// changed has an element if ids have come since it was last taken.
	changed chan struct{}
}

func newRevocations(now func() time.Time) *revocations {
	return &revocations{
		now: now, byID: map[string]*list.Element{}, order: list.New(), stamps: map[string]map[string]struct{}{},
		changed: make(chan struct{}, 1),
	}
}

// add remembers tasks; a zero time is now, unless the task is remembered already. What is no id of a task is left out.
func (v *revocations) add(all ...Revocation) {
	now := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, r := range all {
		if checkName(r.ID) != nil {
			continue
		}
		old := v.byID[r.ID]
		if old != nil && r.Time.IsZero() {
			continue
		}
		if r.Time.IsZero() || r.Time.After(now) {
			r.Time = now
		}
		if old != nil {
			v.order.Remove(old)
		}
		v.byID[r.ID] = v.order.PushBack(r)
		v.some.Store(true)
	}
	v.sweep(now)
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// sweep forgets what is too old or too much.
func (v *revocations) sweep(now time.Time) {
	for e := v.order.Front(); e != nil; e = v.order.Front() {
		r := e.Value.(Revocation) //nolint:forcetypeassert // the list is ours
		if v.order.Len() <= maxRevoked && now.Sub(r.Time) < revokedFor {
			return
		}
		v.order.Remove(e)
		delete(v.byID, r.ID)
	}
}

// addStamps remembers that the tasks with a stamp are revoked. Those of Celery are kept for as long as the worker runs.
func (v *revocations) addStamps(stamps map[string][]string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, values := range v.stamps {
		n += len(values)
	}
	for name, values := range stamps {
		n += len(values)
		for _, text := range append(slices.Clone(values), name) {
			if err := checkName(text); err != nil {
				return fmt.Errorf("a stamp: %w", err)
			}
		}
	}
	if n > maxRevokedStamps {
		return fmt.Errorf("the tasks of more than %d stamps are revoked", maxRevokedStamps)
	}
	for name, values := range stamps {
		for _, value := range values {
			if v.stamps[name] == nil {
				v.stamps[name] = map[string]struct{}{}
			}
			v.stamps[name][value] = struct{}{}
			v.some.Store(true)
		}
	}
	return nil
}

// has says whether a request is revoked.
func (v *revocations) has(r *request) bool {
	if v == nil || !v.some.Load() {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.byID[r.id]; e != nil && v.now().Sub(e.Value.(Revocation).Time) < revokedFor { //nolint:forcetypeassert // the list is ours
		return true
	}
	for name, values := range v.stamps {
		if slices.ContainsFunc(stampsOf(r, name), func(value string) bool { _, ok := values[value]; return ok }) {
			return true
		}
	}
	return false
}

// stampsOf are the values of a stamp that a message has.
func stampsOf(r *request, name string) []string {
	stamps, _ := r.message.Headers["stamps"].(map[string]any)
	switch v := stamps[name].(type) {
	case nil:
		return nil
	case []any:
		out := make([]string, len(v))
		for i := range v {
			out[i] = fmt.Sprint(v[i])
		}
		return out
	default:
		return []string{fmt.Sprint(v)}
	}
}

// list is what is remembered, oldest first.
func (v *revocations) list() []Revocation {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep(v.now())
	out := make([]Revocation, 0, v.order.Len())
	for e := v.order.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(Revocation)) //nolint:forcetypeassert // the list is ours
	}
	return out
}

// revoked is why a task is not run, or not to its end.
func revoked(why string) *rejection {
	return reject("", "TaskRevokedError", celeryExceptions, errors.New(why))
}

// Revoke keeps tasks from running at this worker: those that wait here end now, in state REVOKED, and those that come
// later when they come. Tasks that run go on; see [Worker.Terminate]. The last 50,000 ids are remembered, for 3 hours.
func (w *Worker) Revoke(ids ...string) {
	all := make([]Revocation, len(ids))
	for i, id := range ids {
		all[i] = Revocation{ID: id, Time: w.executor.now()}
	}
	w.AddRevocations(all...)
}

// AddRevocations takes over what another worker was told, as [Worker.Revoke] does.
func (w *Worker) AddRevocations(all ...Revocation) {
	w.revocations.add(all...)
	w.discardRevoked()
}

// Terminate revokes tasks, and ends the contexts of those that run with [ErrTerminated]. Their state is then REVOKED
// whatever error they return, and they are not retried. One that returns without an error all the same has succeeded:
// what was done is not called undone. It returns the ids of those that were waiting or running here.
func (w *Worker) Terminate(ids ...string) []string {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	here := map[string]struct{}{}
	for _, r := range w.held.all() {
		if wanted[r.id] {
			here[r.id] = struct{}{}
		}
	}
	w.Revoke(ids...)
	for _, r := range w.watchdog.running() {
		if wanted[r.id] {
			here[r.id] = struct{}{}
			r.cancel(ErrTerminated)
		}
	}
	return slices.Sorted(maps.Keys(here))
}

// RevokeStamped revokes the tasks that have one of these stamps (Celery 5.3's Task.apply_async with stamped headers), by name
// the values. It fails if there are more than 1,000 in all.
func (w *Worker) RevokeStamped(stamps map[string][]string) error {
	if err := w.revocations.addStamps(stamps); err != nil {
		return err
	}
	w.discardRevoked()
	return nil
}

// TerminateStamped is RevokeStamped for running tasks too, as [Worker.Terminate]. It returns the stamps
// for which a task was running here.
func (w *Worker) TerminateStamped(stamps map[string][]string) (map[string][]string, error) {
	if err := w.RevokeStamped(stamps); err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, r := range w.watchdog.running() {
		for name, values := range stamps {
			for _, value := range stampsOf(r, name) {
				if !slices.Contains(values, value) {
					continue
				}
				r.cancel(ErrTerminated)
				if !slices.Contains(found[name], value) {
					found[name] = append(found[name], value)
				}
			}
		}
	}
	return found, nil
}

// Revocations are the tasks that the worker was told not to run, oldest first.
func (w *Worker) Revocations() []Revocation { return w.revocations.list() }

// discardRevoked ends the revoked tasks that wait here.
func (w *Worker) discardRevoked() {
	for _, r := range w.held.all() {
		if w.revocations.has(r) && w.held.take(r) {
			w.logger.Info("task was revoked, not run", "task", r.name, "id", r.id)
			go w.concludeRevoked(r)
		}
	}
}

// concludeRevoked ends a request that was taken, and is not run since it was revoked.
func (w *Worker) concludeRevoked(r *request) {
	w.executor.stages.tell(r, Revoked, nil)
	w.conclude(r, w.executor.revoked(r, "revoked"), false)
}
