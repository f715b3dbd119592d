package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// mingleTimeout is how long a starting worker waits for the others (Celery: Mingle).
const mingleTimeout = time.Second

// revokedSince are revoked tasks in a hello: by id a time, alone or with the id again. Each worker writes the time of a clock of
// its own, so that it says nothing to others.
type revokedSince map[string]json.RawMessage

// read are the revocations, as of now.
func (v revokedSince) read() ([]task.Revocation, error) {
	var out []task.Revocation
	for id, raw := range v {
		var pair []json.RawMessage
		if json.Unmarshal(raw, &pair) == nil && len(pair) > 0 {
			raw = pair[0]
		}
		var since json.Number
		if err := json.Unmarshal(raw, &since); err != nil {
			return nil, pythonError("ValueError", "Expecting float timestamp, got another type")
		}
		if _, err := since.Int64(); err == nil {
			return nil, pythonError("ValueError", "Expecting float timestamp, got type <class 'int'> with value: %s", since)
		}
		out = append(out, task.Revocation{ID: id})
	}
	return out, nil
}

// revokedTimes are the worker's own, for a hello. The times are of the wall clock, which is later than Celery's clocks, that
// count from the start of a machine: so another worker does not forget them before its time.
func (s *Server) revokedTimes() map[string][2]any {
	out := map[string][2]any{}
	for _, r := range s.worker.Revocations() {
		out[r.ID] = [2]any{unixSeconds(r.Time), r.ID}
	}
	return out
}

// hello tells a starting worker what was revoked, and is told the same.
func (s *Server) hello(r *request) (any, error) {
	var from string
	var revoked revokedSince
	if err := r.required("from_node", &from); err != nil {
		return nil, err
	}
	if err := r.argument("revoked", &revoked); err != nil {
		return nil, err
	}
	if from == s.name {
		return nil, nil
	}
	s.logger.Debug("a worker says hello", "worker", from)
	all, err := revoked.read()
	if err != nil {
		return nil, err
	}
	if s.config.Mode == Full && len(all) > 0 {
		s.worker.AddRevocations(all...)
	}
	return map[string]any{"revoked": s.revokedTimes(), "clock": s.worker.Clock().Tick()}, nil
}

// mingle asks the others what was revoked, and warns of one that has the same name (Celery: DuplicateNodenameWarning).
func (s *Server) mingle(ctx context.Context) {
	if err := s.listener.Ready(ctx); err != nil {
		return
	}
	c := NewClient(s.worker.Transport(), ClientConfig{Timeout: mingleTimeout, Clock: s.worker.Clock(), Logger: s.logger})
	defer func() { _ = c.Close() }()
	answers, err := c.Ask(ctx, "hello", map[string]any{"from_node": s.name, "revoked": s.revokedTimes()})
	if err != nil && ctx.Err() == nil {
		s.logger.Debug("the other workers can't be asked what was revoked", "error", err)
	}
	same := 0
	for _, a := range answers {
		if a.Worker == s.name {
			same++
		}
		if err := s.learn(a); err != nil {
			s.logger.Warn("what another worker says of revoked tasks can't be read", "worker", a.Worker, "error", err)
		}
	}
	if same > 1 { // one is this worker's own
		s.logger.Warn("another worker has the same name: remote control and monitors take the two for one. Give each a name of its own with -hostname, such as -hostname w2@%h", "worker", s.name)
	}
}

func (s *Server) learn(a Answer) error {
	if a.Err != nil || a.Worker == s.name {
		return a.Err
	}
	var told *struct {
		Revoked revokedSince `json:"revoked"`
		Clock   int64        `json:"clock"`
	}
	if err := json.Unmarshal(a.Value, &told); err != nil {
		return fmt.Errorf("a hello: %w", err)
	}
	if told == nil {
		return nil
	}
	s.worker.Clock().Adjust(told.Clock)
	all, err := told.Revoked.read()
	if err == nil && len(all) > 0 {
		s.worker.AddRevocations(all...)
	}
	return err
}
