package task

import (
	"fmt"
	"reflect"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Callback is a [Step] that takes In, whatever its own result.
type Callback[In any] interface{ callback(In) linked }

// linked is a callback, and the type that it takes; nil for any.
type linked struct {
	plan *plan
	in   reflect.Type
}

func (s Step[In, R]) callback(In) linked {
	l := linked{plan: s.sig.plan, in: reflect.TypeFor[In]()}
	if l.plan.immutable {
		l.in = nil
	}
	return l
}

// Link has callbacks sent after the task has succeeded, each with its result. They must take what the task returns; else the call fails
// before anything is sent. ([Sig.Link] has the compiler check it.)
func Link[In any](callbacks ...Callback[In]) Option {
	return func(o *callOptions) {
		for _, callback := range callbacks {
			var none In
			o.links = append(o.links, callback.callback(none))
		}
	}
}

// LinkError has errbacks sent after the task has failed for good, each with the id of the task. On a chain it holds for every task in it.
func LinkError(errbacks ...Callback[string]) Option {
	return func(o *callOptions) {
		for _, errback := range errbacks {
			o.errlinks = append(o.errlinks, errback.callback(""))
		}
	}
}

// Link returns the call with callbacks that are sent after it has succeeded, each with its result.
func (s Sig[R]) Link(callbacks ...Callback[R]) Sig[R] { return s.With(Link(callbacks...)) }

// LinkError returns the call with errbacks, as the option LinkError does.
func (s Sig[R]) LinkError(errbacks ...Callback[string]) Sig[R] { return s.With(LinkError(errbacks...)) }

// checkLinks refuses callbacks that don't take the result.
func (o *callOptions) checkLinks(result reflect.Type) error {
	for _, l := range o.links {
		if l.in != nil && l.in != result {
			return fmt.Errorf("the callback %s takes %s, and the result is %s", l.plan.name, l.in, result)
		}
	}
	return nil
}

// link adds callbacks and errbacks to a signature.
func (b *builder) link(s *signature, o *callOptions) (err error) {
	s.links, err = b.linked(o.links)
	if err == nil {
		s.errlinks, err = b.linked(o.errlinks)
	}
	return err
}

func (b *builder) linked(list []linked) ([]*signature, error) {
	var out []*signature
	for _, l := range list {
		s, err := b.make(l.plan)
		if err != nil {
			return nil, fmt.Errorf("the callback %s: %w", l.plan.name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// embed is what a message says of what follows the call; nil for nothing.
func (c *Client) embed(o *callOptions, s codec.Serializer) ([]byte, error) {
	if len(o.links) == 0 && len(o.errlinks) == 0 {
		return nil, nil
	}
	var call signature
	if err := c.builder(s).link(&call, o); err != nil {
		return nil, err
	}
	return (&embed{callbacks: call.links, errbacks: call.errlinks}).encode(s)
}
