package task

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Group has calls run at the same time. Its result is the list of theirs, in order; it fails with the first of them, in order, that fails.
func Group[R any](calls ...Sig[R]) Sig[[]R] {
	plans := make([]*plan, len(calls))
	for i, c := range calls {
		plans[i] = c.plan
	}
	return Sig[[]R]{
		plan: groupPlan(plans, reflect.TypeFor[[]R]()),
		open: func(c *Client, s *signature) *Call[[]R] {
			members := make([]*Call[R], len(calls))
			for i, m := range s.tasks {
				members[i] = calls[i].open(c, m.end())
			}
			return groupCall(s, c, members)
		},
	}
}

// GroupStep has steps run at the same time, each with the result of the task before them.
func GroupStep[In, R any](steps ...Step[In, R]) Step[In, []R] {
	calls := make([]Sig[R], len(steps))
	for i, s := range steps {
		calls[i] = s.sig
	}
	return Step[In, []R]{Group(calls...)}
}

func groupPlan(members []*plan, result reflect.Type) *plan {
	return &plan{
		name: fmt.Sprintf("a group of %d", len(members)),
		serializer: func(c *Client, _ []Option) (string, error) {
			if len(members) == 0 {
				return or(c.config.Serializer, DefaultSerializer), nil
			}
			return members[0].serializer(c, members[0].options)
		},
		build: func(b *builder, p *plan) (*signature, error) {
			s := groupOf(nil)
			for _, m := range members {
				member, err := b.make(m)
				if err != nil {
					return nil, err
				}
				s.tasks = append(s.tasks, member)
			}
			if err := b.linkWhole(s, p, result); err != nil {
				return nil, err
			}
			if len(s.links) > 0 { // each task would have them
				return nil, errors.New("a group has no callbacks: want task.Chain(group, callback)")
			}
			return s, nil
		},
	}
}

// groupCall is the call of a group: what is known of its members.
func groupCall[R any](s *signature, c *Client, members []*Call[R]) *Call[[]R] {
	call := &Call[[]R]{ID: s.id, task: s.task, client: c, result: func(v codec.Value, p *[]R) {
		i := -1
		codec.Slice(v, p, func(v codec.Value, r *R) {
			i++
			members[i].result(v, r)
		})
	}}
	call.gather = func(ctx context.Context) ([]R, error) {
		values := make([]R, len(members))
		for i, m := range members {
			var err error
			if values[i], err = m.Get(ctx); err != nil {
				return nil, err
			}
		}
		return values, nil
	}
	call.states = func(ctx context.Context) (Status, error) {
		whole := Status{State: Success}
		for _, m := range members {
			status, err := m.Status(ctx)
			if err != nil || status.State == Failure || status.State == Revoked {
				return status, err
			}
			if whole.State == Success {
				whole = status
			}
		}
		return whole, nil
	}
	return call
}
