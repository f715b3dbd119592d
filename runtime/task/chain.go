package task

import (
	"errors"
	"reflect"
	"slices"
)

// Chain has next run after first has succeeded, with its result. If first fails so does the chain, and next does not
// run. After a group, next runs when all its tasks have succeeded, with the list of their results: it is a chord.
func Chain[In, R any](first Sig[In], next Step[In, R]) Sig[R] {
	return Sig[R]{plan: chainPlan(first.plan, next.sig.plan, reflect.TypeFor[R]()), open: next.sig.open}
}

// Follow has next run after first has succeeded, whatever its result.
func Follow[In, R any](first Sig[In], next Sig[R]) Sig[R] { return Chain(first, Ignore[In](next)) }

// Chord has body run after all tasks of the header have succeeded, with the list of their results in order, on a broker that keeps results, or
// beside a store of them; on another one it is an error. If one of the header fails the body fails with a ChordError.
func Chord[In, R any](header []Sig[In], body Step[[]In, R]) Sig[R] {
	return Chain(Group(header...), body)
}

func chainPlan(first, next *plan, result reflect.Type) *plan {
	return &plan{
		name:       first.name + ", then " + next.name,
		serializer: func(c *Client, _ []Option) (string, error) { return first.serializer(c, first.options) },
		build: func(b *builder, p *plan) (*signature, error) {
			a, err := b.make(first)
			if err != nil {
				return nil, err
			}
			z, err := b.make(next)
			if err != nil {
				return nil, err
			}
			if header := a.end(); header.kind == kindGroup && slices.ContainsFunc(header.tasks, func(s *signature) bool { return s.end().kind == kindGroup }) {
				return nil, errors.New("a group in the header of a chord: all results would come in one list")
			}
			s := chainOf(append(a.steps(), z.steps()...))
			return s, b.linkWhole(s, p, result)
		},
	}
}

// steps are those of a chain that has nothing of its own, else the signature itself.
func (s *signature) steps() []*signature {
	if s.kind == kindChain && len(s.links) == 0 && len(s.errlinks) == 0 {
		return slices.Clone(s.tasks)
	}
	return []*signature{s}
}

// linkWhole adds to a chain or group what its options say: callbacks and errbacks, and nothing else.
func (b *builder) linkWhole(s *signature, p *plan, result reflect.Type) error {
	spec := &Spec{}
	o, err := newCallOptions(spec, p.options)
	if err != nil {
		return err
	}
	if err := o.checkLinks(result); err != nil {
		return err
	}
	bare := *o
	bare.links, bare.errlinks = nil, nil
	if none, _ := newCallOptions(spec, nil); !reflect.DeepEqual(&bare, none) {
		return errors.New("only Link and LinkError are options of a whole: give the others to the tasks in it")
	}
	return b.link(s, o)
}
