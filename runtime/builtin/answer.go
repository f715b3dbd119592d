package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// maxReason is how much of the reason for a failure is kept, in bytes.
const maxReason = 1000

// answer is what a web service says of its work.
type answer struct {
	Status string          `json:"status"`
	Retval json.RawMessage `json:"retval"`
	Reason json.RawMessage `json:"reason"`
}

// readAnswer is the result of an answer with this status code, or why there is none. A reason
// is believed with any status code, a success only with one of success.
func readAnswer(code int, body []byte) (json.RawMessage, error) {
	var a answer
	err := json.Unmarshal(body, &a)
	if err == nil {
		switch {
		case a.Status == "failure":
			return nil, errors.New(cut(a.reason(), maxReason))
		case a.Status == "success" && code >= http.StatusOK && code < http.StatusMultipleChoices:
			if a.Retval == nil {
				return json.RawMessage("null"), nil
			}
			return a.Retval, nil
		}
	}
	why := ""
	if err != nil {
		why = " (" + err.Error() + ")"
	}
	return nil, fmt.Errorf(`status %s and an answer that is neither {"status": "success", "retval": …} nor {"status": "failure", "reason": …}%s: %q`,
		strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code))), why, cut(string(body), maxExcerpt))
}

// reason is why the service failed, for people.
func (a *answer) reason() string {
	var text string
	if json.Unmarshal(a.Reason, &text) != nil {
		text = string(bytes.TrimSpace(a.Reason))
	}
	if text == "" {
		return "the service failed and gives no reason"
	}
	return text
}

// cut shortens a text of somebody else's to n bytes.
func cut(text string, n int) string {
	if len(text) > n {
		text = text[:n] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
