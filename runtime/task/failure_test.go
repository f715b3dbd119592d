package task

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// stacked is an error that prints its stack, as those of github.com/pkg/errors do.
type stacked struct{}

func (stacked) Error() string { return "stacked" }

func (stacked) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, "stacked")
	if verb == 'v' && s.Flag('+') {
		_, _ = io.WriteString(s, "\nmain.store\n\t/app/main.go:12")
	}
}

type rude struct{}

func (rude) Error() string { panic("rude") }

func TestTraceback(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"":                               errors.New("plain"),
		"*fmt.wrapError: a: EOF\n":       fmt.Errorf("a: %w", io.EOF),
		"*errors.errorString: EOF":       fmt.Errorf("a: %w", io.EOF),
		"main.store\n\t/app/main.go:12":  fmt.Errorf("a: %w", stacked{}),
		"goroutine 1 [running]:\nmain.f": fmt.Errorf("a: %w", &PanicError{Value: "x", Stack: []byte("goroutine 1 [running]:\nmain.f")}),
	} {
		if got := traceback(err); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%v: traceback %q, want %q", err, got, want)
		}
	}
	if got := traceback(fmt.Errorf("%w", rude{})); strings.Contains(got, "goroutine") {
		t.Errorf("an error that panics: %q", got)
	}
}
