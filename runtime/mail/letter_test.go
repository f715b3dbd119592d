package mail

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

// received is a mail as its reader sees it.
type received struct {
	netmail.Header
	subject, body string
}

// readMail reads a mail as a mail program does.
func readMail(t testing.TB, raw []byte) received {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	if encoding := m.Header.Get("Content-Transfer-Encoding"); encoding != "quoted-printable" {
		t.Fatalf("encoding %q", encoding)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return received{m.Header, subject, strings.ReplaceAll(string(body), "\r\n", "\n")}
}

var testEnvelope = envelope{
	from: &netmail.Address{Name: "Täsks", Address: "tasks@example.com"},
	to:   []*netmail.Address{{Address: "a@example.com"}, {Name: "B, b", Address: "b@example.com"}},
}

// travel is what the letter is when it has come to its readers.
func travel(t testing.TB, l *letter) received {
	t.Helper()
	var raw bytes.Buffer
	if _, err := l.message(testEnvelope).WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(raw.String(), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.ContainsFunc(line, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("the line %q in\n%s", line, &raw)
		}
	}
	return readMail(t, raw.Bytes())
}

// headers are all that a mail has.
var headers = []string{
	"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To",
}

// checkLetter holds what every letter must be, whatever is in it.
func checkLetter(t testing.TB, l *letter) received {
	t.Helper()
	got := travel(t, l)
	if names := slices.Sorted(maps.Keys(got.Header)); !slices.Equal(names, headers) {
		t.Errorf("the headers are %q", names)
	}
	for name, values := range got.Header {
		if len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
	if from, to := got.Get("From"), got.Get("To"); from != testEnvelope.from.String() || to != `<a@example.com>, "B, b" <b@example.com>` {
		t.Errorf("from %q to %q", from, to)
	}
	if got.Get("Auto-Submitted") != "auto-generated" || got.Get("Content-Type") != "text/plain; charset=UTF-8" {
		t.Errorf("headers %v", got.Header)
	}
	if got.subject != l.subject || got.body != l.body {
		t.Errorf("-sent +received:\n%s%s", cmp.Diff(l.subject, got.subject), cmp.Diff(l.body, got.body))
	}
	if strings.ContainsFunc(got.subject, func(r rune) bool { return !unicode.IsPrint(r) }) || utf8.RuneCountInString(got.subject) > maxSubject {
		t.Errorf("subject %q", got.subject)
	}
	if strings.ContainsFunc(got.body, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		t.Errorf("body %q", got.body)
	}
	return got
}

func FuzzLetter(f *testing.F) {
	for _, text := range []string{
		"", "no money", "x\r\nBcc: evil@example.com\r\n\r\nbody", "\n\n", "a\rb", "\x00\x1b[31m", "ünïcödé ☃ 日本語 🎉", "=?utf-8?q?=0ABcc:_x?=", "==??==?",
		strings.Repeat("long ", 500), strings.Repeat("x", 3000), strings.Repeat("日", 3000), "\u202eright to left", "\xff\xfe", ".\r\n.\r\n", "From me\n.", "trailing \t \n \n",
		"\u2028 \u0085 \u00a0", "Error\n\nid  spoofed",
	} {
		f.Add(text, "users.create", "worker@host", "tasks")
		f.Add("no money", text, text, text)
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text, name, worker, queue string) {
		a := &task.Attempt{State: task.Failure, Err: errors.New(text), Took: time.Second}
		a.Info = task.Info{ID: text, Name: name, Worker: worker, Retries: 3, Delivery: task.DeliveryInfo{Queue: queue}}
		failed := newFailure(a, now)
		got := checkLetter(t, report(failed, a, defaultInterval))
		// What is not ours is in the lines of its field, or indented.
		if n := strings.Count("\n"+got.body, "\nid "); n != 1 && failed.id != "" {
			t.Errorf("%d ids in\n%s", n, got.body)
		}
		if !strings.Contains(got.body, failed.task) || !strings.Contains(got.body, failed.id) {
			t.Errorf("%q or %q is missing in\n%s", failed.task, failed.id, got.body)
		}
		counted := tally{count: 7, first: now, last: failed}
		checkLetter(t, digest(counted, now, defaultInterval))
		checkLetter(t, (&summary{worker: failed.worker, kinds: []tally{counted, counted}, strays: counted, lost: 3}).letter(now, defaultInterval))
	})
}

// BalanceError is an error with a type that says something.
type BalanceError struct{ text string }

func (e *BalanceError) Error() string { return e.text }

func TestReport(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	a := &task.Attempt{
		Info: task.Info{
			ID: "0198c2f4", Name: "shop.charge", Worker: "worker@web1", Retries: 3,
			Delivery: task.DeliveryInfo{Queue: "money"},
		},
		State: task.Failure, Err: &BalanceError{"no money:\n17 € are missing"}, Took: 1234567 * time.Microsecond,
	}
	got := checkLetter(t, report(newFailure(a, now), a, defaultInterval))
	if want := "[worker@web1] Error: Task shop.charge (0198c2f4): BalanceError: no money: 17 € are missing"; got.subject != want {
		t.Errorf("subject %q", got.subject)
	}
	want := `A task has failed, and will not be tried again.

task       shop.charge
id         0198c2f4
worker     worker@web1
queue      money
time       2026-07-01 12:00:00 +0000
took       1.235s
retries    3
arguments

Error

  BalanceError: no money:
  17 € are missing

If this task fails with this error again in the next 5m, another mail will count how often.
`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if id := got.Get("Message-Id"); !strings.HasPrefix(id, "<") || !strings.HasSuffix(id, "@example.com>") {
		t.Errorf("Message-ID %q", id)
	}
	if date, err := got.Date(); err != nil || !date.Equal(now) {
		t.Errorf("Date %v, %v", date, err)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f := &failure{worker: "worker@web1", task: "shop.charge", id: "17", text: "no money", at: now}
	many := summary{worker: "worker@web1", lost: 4, strays: tally{count: 30, last: f}}
	for range 25 {
		many.kinds = append(many.kinds, tally{count: 2, last: f})
	}
	got := checkLetter(t, many.letter(now, defaultInterval))
	if got.subject != "[worker@web1] Error: 84 more failures of tasks" {
		t.Errorf("subject %q", got.subject)
	}
	for _, want := range []string{
		"at most 30 in 5m, and 4 of one task.\n", "\n2 times shop.charge\n  no money\n  last id 17, 2026-07-01 12:00:00 +0000\n", "\nand 5 more errors\n",
		"\n30 failures of errors that are too many", "\n4 failures in mails that could not be sent",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("%q is missing in\n%s", want, got.body)
		}
	}
	if n := strings.Count(got.body, "2 times"); n != maxListed {
		t.Errorf("%d errors are listed", n)
	}
}
