package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"github.com/taskgen/taskgen/runtime/task"
)

// Bounds on texts, in characters.
const (
	maxSubject   = 250
	maxMessage   = 4 << 10
	maxArguments = 1 << 10
	maxTraceback = 32 << 10
	// maxListed is how many errors a summary lists.
	maxListed = 20
)

// letter is a mail.
type letter struct {
	id            string // what makes the Message-ID unique; it stays from one attempt to the next
	subject, body string
	born          time.Time
	failures      int // that the letter tells of
}

func newLetter(worker, subject, body string, now time.Time, failures int) *letter {
	return &letter{
		id: uuid.NewString(), subject: oneLine("["+worker+"] Error: "+subject, maxSubject),
		body: body, born: now, failures: failures,
	}
}

// report is the letter about one failure.
func report(f *failure, a *task.Attempt, interval time.Duration) *letter {
	e := a.TaskError()
	var p page
	p.printf("A task has failed, and will not be tried again.\n\n")
	p.field("task", f.task)
	p.field("id", f.id)
	p.field("worker", f.worker)
	p.field("queue", oneLine(a.Info.Delivery.Queue, maxName))
	p.field("time", stamp(f.at))
	p.field("took", a.Took.Round(time.Millisecond).String())
	p.field("retries", strconv.Itoa(a.Info.Retries))
	p.field("arguments", oneLine(a.Arguments(), maxArguments))
	message := e.Message
	if f.kind != "" {
		message = f.kind + ": " + message
	}
	p.block("Error", message, maxMessage)
	p.block("Stack", e.Traceback, maxTraceback)
	p.printf("\nIf this task fails with this error again in the next %s, another mail will count how often.\n", span(interval))
	return newLetter(f.worker, fmt.Sprintf("Task %s (%s): %s", f.task, f.id, f.error()), p.String(), f.at, 1)
}

// digest is the letter about the failures that followed a report.
func digest(t tally, now time.Time, interval time.Duration) *letter {
	f := t.last
	var p page
	p.printf("A task has failed %s with an error of which there was a mail before.\n\n", times(t.count))
	p.field("task", f.task)
	p.field("worker", f.worker)
	p.field("failures", strconv.Itoa(t.count))
	p.field("first", stamp(t.first))
	p.field("last", stamp(f.at))
	p.field("last id", f.id)
	p.block("Last error", f.error(), maxMessage)
	p.printf("\nThere is at most one mail about this in %s.\n", span(interval))
	return newLetter(f.worker, fmt.Sprintf("Task %s failed %s more: %s", f.task, times(t.count), f.error()), p.String(), now, t.count)
}

// summary is what there was no mail left for, the most frequent first.
type summary struct {
	worker string
	kinds  []tally
	strays tally
	lost   int
}

func (s *summary) letter(now time.Time, interval time.Duration) *letter {
	var p page
	total := s.strays.count + s.lost
	for _, t := range s.kinds {
		total += t.count
	}
	if total > s.lost {
		p.printf("More tasks have failed than there are mails for: at most %d in %s, and %d of one task.\n", maxMails, span(interval), maxTaskMails)
	}
	for i, t := range s.kinds {
		if i == maxListed {
			p.printf("\nand %s\n", plural(len(s.kinds)-i, "more error"))
			break
		}
		p.printf("\n%s %s\n", times(t.count), t.last.task)
		p.printf("  %s\n  last id %s, %s\n", t.last.error(), t.last.id, stamp(t.last.at))
	}
	if t := s.strays; t.count > 0 {
		p.printf("\n%s of errors that are too many to be told apart, the last of\n%s\n", plural(t.count, "failure"), t.last.task)
		p.printf("  %s\n  last id %s, %s\n", t.last.error(), t.last.id, stamp(t.last.at))
	}
	if s.lost > 0 {
		p.printf("\n%s in mails that could not be sent: the worker's log has their subjects.\n", plural(s.lost, "failure"))
	}
	return newLetter(s.worker, plural(total, "more failure")+" of tasks", p.String(), now, total)
}

// page is the text of a letter.
type page struct{ strings.Builder }

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// field writes a value of one line.
func (p *page) field(name, value string) {
	p.WriteString(strings.TrimRight(fmt.Sprintf("%-10s %s", name, value), " ") + "\n")
}

// block writes a text of any number of lines, unless it is empty.
func (p *page) block(title, text string, limit int) {
	if text != "" {
		p.WriteString("\n" + title + "\n\n" + lines(text, limit))
	}
}

// stamp shows a time to people.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05 -0700") }

// span shows a round duration without its zeros: 5m.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

// envelope is who a letter is from and who gets it.
type envelope struct {
	from *netmail.Address
	to   []*netmail.Address
}

func newEnvelope(from string, to []string) (envelope, error) {
	var e envelope
	senders, err := addresses(from)
	if err != nil {
		return e, fmt.Errorf("sender's address: %w", err)
	}
	if len(senders) != 1 {
		return e, errors.New("sender's address: want one")
	}
	e.from = senders[0]
	for _, list := range to {
		receivers, err := addresses(list)
		if err != nil {
			return e, fmt.Errorf("receiver's address: %w", err)
		}
		e.to = append(e.to, receivers...)
	}
	if len(e.to) == 0 {
		return e, errors.New("receiver's address: there is none")
	}
	return e, nil
}

// addresses reads a list of addresses, which all mail servers take: those that are not ASCII
// need an extension that the servers on the way may lack.
func addresses(list string) ([]*netmail.Address, error) {
	parsed, err := netmail.ParseAddressList(list)
	if err != nil {
		return nil, fmt.Errorf("%q: %s", list, strings.TrimPrefix(err.Error(), "mail: "))
	}
	for _, a := range parsed {
		if strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r >= unicode.MaxASCII }) {
			return nil, fmt.Errorf("%q has characters other than visible ASCII ones", a.Address)
		}
	}
	return parsed, nil
}

// message is the letter as it travels.
func (l *letter) message(e envelope) *gomail.Msg {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	m.FromMailAddress(e.from)
	m.ToMailAddress(e.to...)
	m.Subject(l.subject)
	m.SetDateWithValue(l.born)
	m.SetMessageIDWithValue(l.id + e.from.Address[strings.LastIndex(e.from.Address, "@"):])
	// RFC 3834: no machine is to answer.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.body)
	return m
}
