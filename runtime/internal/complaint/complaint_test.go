package complaint_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/complaint"
)

// A try every second for an hour is told some ten times, also where it goes to two hosts in turn and each
// connection has a port of its own.
func TestFresh(t *testing.T) {
	t.Parallel()
	errs := []error{
		errors.New("read tcp 10.0.0.1:40001->10.0.0.9:5672: connection reset by peer"),
		errors.New("dial tcp 10.0.0.8:5672: connection refused"),
		errors.New("read tcp 10.0.0.1:40002->10.0.0.9:5672: connection reset by peer"),
		errors.New("dial tcp 10.0.0.8:5672: connection refused"),
	}
	synctest.Test(t, func(t *testing.T) {
		var b complaint.Book
		told := 0
		for i := range 3600 {
			if b.Fresh(errs[i%len(errs)]) {
				told++
			}
			time.Sleep(time.Second)
		}
		if told < 12 || told > 26 {
			t.Errorf("told %d times", told)
		}
		if b.Fresh(errs[0]) {
			t.Error("the same again is told")
		}
		if !b.Over() || b.Over() {
			t.Error("it does not know that there was a complaint")
		}
		if !b.Fresh(errs[0]) {
			t.Error("what comes back after all went well is not told")
		}
	})
}
