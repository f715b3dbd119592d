package sqlite

import (
	"errors"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

// A commit that failed may have reached the disk all the same. Then the
// second try finds the delivery gone, which doesn't mean that nothing was carried out.
func TestAnUncertainCommitIsNotDenied(t *testing.T) {
	t.Parallel()
	lost := errors.New("the disk didn't answer")
	for _, outcome := range []error{task.ErrStale, task.ErrClosed, &refusalError{errors.New("newer")}} {
		p := newPendings([]change{&settlement{}})[0]
		p.enter()
		p.uncertain.Store(&lost)
		p.back()
		p.enter()
		p.finish(outcome)
		d := &task.Delivery{Message: &task.Message{ID: "x"}}
		if err := settleError(d, p.err); errors.Is(err, task.ErrStale) || !errors.Is(err, task.ErrUnconfirmed) || !errors.Is(err, lost) {
			t.Errorf("after %v: %v", outcome, err)
		}
	}
	p := newPendings([]change{&settlement{}})[0]
	p.uncertain.Store(&lost)
	if p.finish(nil); p.err != nil {
		t.Errorf("it was carried out, but: %v", p.err)
	}
}
