package akismet

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidKey says that Akismet does not know the key, for this site. Asking again is of no use.
var ErrInvalidKey = errors.New("the key is not valid")

// Error is an answer that is none.
type Error struct {
	// Call is the name of the call, such as comment-check.
	Call string
	// Status is that of HTTP.
	Status int
	// Answer is the body, or its beginning.
	Answer string
	// Help is what Akismet says to developers (X-akismet-debug-help), "" if nothing.
	Help string
	// AlertCode and Alert are what Akismet says to the key's owner (X-akismet-alert-code and -msg), "" if
	// nothing. https://akismet.com/developers/detailed-docs/errors/ has the codes.
	AlertCode, Alert string
	cause            error
}

// maxQuote bounds how much of an answer an error quotes, in bytes.
const maxQuote = 100

// problem makes an error of an answer. cause may be nil.
func (a *answer) problem(call string, cause error) *Error {
	return &Error{
		Call: call, Status: a.status, Answer: a.body[:min(len(a.body), maxQuote)],
		Help:      a.header.Get("X-Akismet-Debug-Help"),
		AlertCode: a.header.Get("X-Akismet-Alert-Code"), Alert: a.header.Get("X-Akismet-Alert-Msg"),
		cause: cause,
	}
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "akismet %s: ", e.Call)
	if e.cause != nil {
		fmt.Fprintf(&s, "%v: ", e.cause)
	}
	fmt.Fprintf(&s, "status %d, answer %q", e.Status, e.Answer)
	if e.Help != "" {
		fmt.Fprintf(&s, ", help %q", e.Help)
	}
	if e.AlertCode != "" {
		fmt.Fprintf(&s, ", alert %s %q", e.AlertCode, e.Alert)
	}
	return s.String()
}

// Unwrap returns [ErrInvalidKey] if it is that.
func (e *Error) Unwrap() error { return e.cause }
