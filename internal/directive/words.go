package directive

import (
	"fmt"
	"strings"
)

// Word is what Celery has a word for, and something other than a directive of that name here.
type Word struct {
	Name string
	// Key is the directive that means the same, "" if none does. Value is what it takes for that.
	Key, Value string
	// Instead says what to write where no directive does, or what is different.
	Instead string
}

// Words returns the table.
func Words() []Word { return append([]Word(nil), words...) }

const (
	itself = "a task that asks about itself takes a parameter of type task.Info"
	ofCall = "it belongs to a call: CreateUser.With(%s).Delay(…)"
)

var words = []Word{
	{Name: "acks_late", Key: "acks", Value: "late"},
	{Name: "autoretry_for", Key: "autoretry", Instead: "it retries after any error that is not task.Permanent"},
	{Name: "base", Key: "abstract", Instead: "it stands on a struct type that others embed"},
	{Name: "bind", Instead: itself},
	{Name: "countdown", Instead: fmt.Sprintf(ofCall, "task.In(5*time.Minute)")},
	{Name: "delivery_mode", Instead: "every message is kept on disk"},
	{Name: "dont_autoretry_for", Instead: "return task.Permanent(err) for an error that is not to be retried"},
	{Name: "eta", Instead: fmt.Sprintf(ofCall, "task.At(tomorrow)")},
	{Name: "reject_on_worker_lost", Instead: "a task that loses its worker runs again, unless it says //task:acks early"},
	{Name: "request", Instead: itself},
	{Name: "result_expires", Instead: "how long results are kept is the worker's setting: worker -result-ttl 24h"},
	{Name: "retry_backoff_max", Instead: "the delay doubles up to 10 minutes"},
	{Name: "retry_kwargs", Key: "max_retries", Instead: "the delay is //task:default_retry_delay"},
	{Name: "send_error_emails", Key: "disable_error_emails", Instead: "without it, failures send mail"},
	{Name: "shared_task", Key: "define"},
	{Name: "soft_time_limit", Key: "timeout"},
	{Name: "store_errors_even_if_ignored", Instead: "a failure is always stored, with //task:ignore_result too"},
	{Name: "task", Key: "define"},
	{Name: "task_id", Instead: fmt.Sprintf(ofCall, "task.ID(id)")},
	{Name: "throws", Instead: "return task.Permanent(err) for an error that is not to be retried"},
	{Name: "time_limit", Key: "timeout"},
}

// lookupWord finds a row of the table.
func lookupWord(name string) *Word {
	for i := range words {
		if squash(words[i].Name) == squash(name) {
			return &words[i]
		}
	}
	return nil
}

// advice says what to write instead of the word, with the value that the user gave it.
func (w *Word) advice(value string) string {
	if w.Key == "" {
		return w.Instead
	}
	if w.Value != "" {
		value = w.Value
	}
	text := fmt.Sprintf("did you mean %s?", fixed(lookup(w.Key), value))
	if w.Instead != "" {
		text += " (" + w.Instead + ")"
	}
	return text
}

// WordsMarkdown is the table of words for docs/directives.md.
func WordsMarkdown() string {
	var b strings.Builder
	b.WriteString("| in Celery | here |\n|---|---|\n")
	for _, w := range words {
		var parts []string
		if w.Key != "" {
			parts = append(parts, "`"+strings.TrimSpace(Prefix+w.Key+" "+w.Value)+"`")
		}
		if w.Instead != "" {
			parts = append(parts, w.Instead)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", w.Name, strings.Join(parts, "; "))
	}
	return b.String()
}
