package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// The commands that change a worker, with the texts of Celery's answers: its tools show them, and some compare them.

func (s *Server) revoke(r *request) (any, error) {
	var terminate bool
	if err := r.argument("terminate", &terminate); err != nil {
		return nil, err
	}
	if terminate {
		return s.terminate(r)
	}
	var ids texts
	if err := r.required("task_id", &ids); err != nil {
		return nil, err
	}
	s.worker.Revoke(ids...)
	s.logger.Info("tasks were revoked by remote control", "tasks", len(ids))
	slices.Sort(ids)
	return ok("tasks " + set(slices.Compact(ids)) + " flagged as revoked"), nil
}

func (s *Server) terminate(r *request) (any, error) {
	var ids texts
	if err := r.required("task_id", &ids); err != nil {
		return nil, err
	}
	here := s.worker.Terminate(ids...)
	s.logger.Info("tasks were terminated by remote control", "tasks", len(ids), "here", len(here))
	if len(here) == 0 {
		return ok("terminate: tasks unknown"), nil
	}
	return ok("terminate: " + strings.Join(here, ", ")), nil
}

// stamps are a map by name, or a list of "name=value".
type stamps map[string][]string

func (m *stamps) UnmarshalJSON(data []byte) error {
	*m = stamps{}
	var list []string
	if json.Unmarshal(data, &list) == nil {
		for _, text := range list {
			name, value, found := strings.Cut(text, "=")
			if !found {
				return errors.New("want name=value")
			}
			(*m)[name] = append((*m)[name], value)
		}
		return nil
	}
	var byName map[string]texts
	if err := json.Unmarshal(data, &byName); err != nil {
		return err
	}
	for name, values := range byName {
		(*m)[name] = values
	}
	return nil
}

// String shows them as Python shows a dict.
func (m stamps) String() string {
	tree := map[string]any{}
	for name, values := range m {
		list := make([]any, len(values))
		for i := range values {
			list[i] = values[i]
		}
		tree[name] = list
	}
	return codec.ReprTree(tree, maxRepr)
}

func (s *Server) revokeStamped(r *request) (any, error) {
	var headers stamps
	var terminate bool
	if err := errors.Join(r.required("headers", &headers), r.argument("terminate", &terminate)); err != nil {
		return nil, err
	}
	if !terminate {
		if err := s.worker.RevokeStamped(headers); err != nil {
			return nil, err
		}
		return ok(fmt.Sprintf("headers %s flagged as revoked, but not terminated", headers)), nil
	}
	found, err := s.worker.TerminateStamped(headers)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return ok(fmt.Sprintf("headers %s were not terminated", headers)), nil
	}
	return ok(fmt.Sprintf("headers %s revoked", stamps(found))), nil
}

func (s *Server) rateLimit(r *request) (any, error) {
	var name string
	var limit any
	if err := errors.Join(r.required("task_name", &name), r.argument("rate_limit", &limit)); err != nil {
		return nil, err
	}
	rate, err := readRate(limit)
	if err != nil {
		return nil, fmt.Errorf("Invalid rate limit string: %w", err)
	}
	if s.worker.SetRateLimit(name, rate) != nil {
		return nil, errUnknownTask
	}
	s.logger.Info("the rate limit of a task was changed by remote control", "task", name, "rate", rate.String())
	if rate == task.Unlimited {
		return ok("rate limit disabled successfully"), nil
	}
	return ok("new rate limit set successfully"), nil
}

var errUnknownTask = errors.New("unknown task")

// readRate reads a rate limit: a number a second, "10/m", or nothing for none.
func readRate(limit any) (task.Rate, error) {
	var text string
	switch v := limit.(type) {
	case nil:
		return task.Unlimited, nil
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		text = v
	default:
		return 0, pythonError("TypeError", "want a number, or a text such as 10/m")
	}
	number, unit, _ := strings.Cut(text, "/")
	if n, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err != nil {
		return 0, pythonError("ValueError", "could not convert string to float: %s", quote(number))
	} else if n == 0 {
		return task.Unlimited, nil
	}
	if !slices.Contains([]string{"", "s", "m", "h"}, unit) {
		return 0, pythonError("KeyError", "%s", unit)
	}
	rate, err := task.ParseRate(strings.TrimSuffix(text, "/"))
	if err != nil {
		return 0, pythonError("ValueError", "%s", err)
	}
	return rate, nil
}

func (s *Server) timeLimit(r *request) (any, error) {
	var name string
	var hard, soft float64
	if err := errors.Join(r.required("task_name", &name), r.argument("hard", &hard), r.argument("soft", &soft)); err != nil {
		return nil, err
	}
	if _, known := s.worker.Registry().Lookup(name); !known {
		return nil, errUnknownTask
	}
	if err := s.worker.SetTimeLimit(name, duration(hard), duration(soft)); err != nil {
		return nil, pythonError("ValueError", "%s", err)
	}
	s.logger.Info("the time limit of a task was changed by remote control", "task", name, "hard", duration(hard), "soft", duration(soft))
	return ok("time limits set successfully"), nil
}

// duration is a time in seconds; what is longer than fits is none.
func duration(seconds float64) time.Duration {
	if seconds >= math.MaxInt64/float64(time.Second) {
		return 0
	}
	return time.Duration(max(seconds, -1) * float64(time.Second))
}

func (s *Server) addConsumer(r *request) (any, error) {
	var queue, exchange, kind, key string
	err := errors.Join(r.required("queue", &queue), r.argument("exchange", &exchange), r.argument("exchange_type", &kind), r.argument("routing_key", &key))
	if err != nil {
		return nil, err
	}
	var bindings []task.Binding
	if exchange != "" {
		bindings = append(bindings, task.Binding{Exchange: exchange, Type: kind, RoutingKey: key})
		if b := &bindings[0]; b.RoutingKey == "" && b.Type != task.Fanout && b.Type != task.Headers {
			b.RoutingKey = queue
		}
	}
	if err := s.worker.AddQueue(queue, bindings...); err != nil {
		return nil, err
	}
	return ok("add consumer " + queue), nil
}

func (s *Server) cancelConsumer(r *request) (any, error) {
	var queue string
	if err := r.required("queue", &queue); err != nil {
		return nil, err
	}
	if err := s.worker.CancelQueue(queue); err != nil {
		return nil, err
	}
	return ok("no longer consuming from " + queue), nil
}

func (s *Server) poolGrow(r *request) (any, error) {
	n, err := slotsOf(r)
	if err == nil {
		err = s.worker.Grow(n)
	}
	return ok("pool will grow"), err
}

func (s *Server) poolShrink(r *request) (any, error) {
	n, err := slotsOf(r)
	if err == nil {
		err = s.worker.Shrink(n)
	}
	return ok("pool will shrink"), err
}

// slotsOf is how many slots a request is about, 1 if it does not say.
func slotsOf(r *request) (int, error) {
	n := 1
	if err := r.argument("n", &n); err != nil {
		return 0, err
	}
	if n < 0 || n > math.MaxInt32 {
		return 0, pythonError("ValueError", "%s(): n must be a number from 0", r.Method)
	}
	return n, nil
}

func (s *Server) enableEvents(*request) (any, error) {
	if s.events.Enable() {
		return ok("task events enabled"), nil
	}
	return ok("task events already enabled"), nil
}

func (s *Server) disableEvents(*request) (any, error) {
	if s.events.Disable() {
		return ok("task events disabled"), nil
	}
	return ok("task events already disabled"), nil
}

func (s *Server) heartbeat(*request) (any, error) {
	s.events.Heartbeat()
	return nil, nil
}

func (s *Server) shutdown(*request) (any, error) {
	s.worker.Shutdown()
	return nil, errSilent
}
