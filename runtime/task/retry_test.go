package task

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	minutes := func(n int) *time.Duration { return new(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		spec    Spec
		retries int
		err     error
		state   State
		delay   time.Duration
		text    string
	}{
		"success":                          {err: nil, state: Success},
		"an error is final":                {err: cause, state: Failure, text: "cause"},
		"asked, default delay":             {err: &retryError{cause: cause}, state: Retried, delay: 3 * time.Minute, text: "cause"},
		"asked, inside another error":      {err: fmt.Errorf("x: %w", &retryError{cause: cause}), state: Retried, delay: 3 * time.Minute, text: "cause"},
		"asked, no cause":                  {err: &retryError{}, state: Retried, delay: 3 * time.Minute, text: "retry"},
		"asked, the task's delay":          {spec: Spec{DefaultRetryDelay: minutes(30)}, err: &retryError{}, state: Retried, delay: 30 * time.Minute, text: "retry"},
		"asked, no delay":                  {spec: Spec{DefaultRetryDelay: minutes(0)}, err: &retryError{}, state: Retried, text: "retry"},
		"asked, countdown":                 {err: RetryIn(time.Second, cause), state: Retried, delay: time.Second, text: "cause"},
		"asked, negative countdown":        {err: RetryIn(-time.Second, cause), state: Retried, text: "cause"},
		"asked, at a time":                 {err: &retryError{options: []Option{At(now.Add(time.Hour))}}, state: Retried, delay: time.Hour, text: "retry"},
		"last retry":                       {retries: 2, err: &retryError{cause: cause}, state: Retried, delay: 3 * time.Minute, text: "cause"},
		"retries used up":                  {retries: 3, err: &retryError{cause: cause}, state: Failure, text: "cause"},
		"retries used up, no cause":        {retries: 3, err: &retryError{}, state: Failure, text: "can't retry: the limit of 3 retries is reached"},
		"no retries":                       {spec: Spec{MaxRetries: new(0)}, err: &retryError{cause: cause}, state: Failure, text: "cause"},
		"for ever":                         {spec: Spec{MaxRetries: new(Forever)}, retries: 1e6, err: &retryError{cause: cause}, state: Retried, delay: 3 * time.Minute, text: "cause"},
		"autoretry":                        {spec: Spec{AutoRetry: true}, err: cause, state: Retried, delay: 3 * time.Minute, text: "cause"},
		"autoretry used up":                {spec: Spec{AutoRetry: true}, retries: 3, err: cause, state: Failure, text: "cause"},
		"autoretry of a panic":             {spec: Spec{AutoRetry: true}, err: &PanicError{Value: "x"}, state: Retried, delay: 3 * time.Minute, text: "panic: x"},
		"permanent beats autoretry":        {spec: Spec{AutoRetry: true}, err: Permanent(cause), state: Failure, text: "cause"},
		"permanent beats retry":            {err: Permanent(RetryIn(0, cause)), state: Failure, text: "retry: cause"},
		"backoff, first":                   {spec: Spec{RetryBackoff: true}, err: &retryError{}, state: Retried, delay: time.Second, text: "retry"},
		"backoff, third":                   {spec: Spec{RetryBackoff: true}, retries: 2, err: &retryError{}, state: Retried, delay: 4 * time.Second, text: "retry"},
		"backoff from the task's delay":    {spec: Spec{RetryBackoff: true, DefaultRetryDelay: minutes(1)}, retries: 1, err: &retryError{}, state: Retried, delay: 2 * time.Minute, text: "retry"},
		"backoff ends at ten minutes":      {spec: Spec{RetryBackoff: true, MaxRetries: new(Forever)}, retries: 400, err: &retryError{}, state: Retried, delay: 10 * time.Minute, text: "retry"},
		"jitter takes a part of the delay": {spec: Spec{RetryJitter: true}, err: &retryError{}, state: Retried, delay: 45 * time.Second, text: "retry"},
		"countdown is taken as it is":      {spec: Spec{RetryJitter: true, RetryBackoff: true}, err: RetryIn(time.Hour, nil), state: Retried, delay: time.Hour, text: "retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judge(&c.spec, c.retries, c.err, now, 0.25)
			if v.state != c.state || v.delay != c.delay {
				t.Errorf("judged %s after %s, want %s after %s", v.state, v.delay, c.state, c.delay)
			}
			if c.text == "" && v.err != nil || c.text != "" && (v.err == nil || v.err.Error() != c.text) {
				t.Errorf("the caller sees %v, want %q", v.err, c.text)
			}
		})
	}
}
