package mail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// postOffice is a mail server at the other end of a pipe, so that hours pass at once inside of a synctest
// bubble. What it can't show, the tests with Exim do.
type postOffice struct {
	testing.TB

	mu    sync.Mutex
	mails []received
	// down refuses connections, mute answers none, refuse is the answer to MAIL, and auth what
	// is answered to AUTH, where %s is what the client has said.
	down, mute   bool
	refuse, auth string
	sessions     int
}

func (p *postOffice) set(change func(*postOffice)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *postOffice) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions++
	if p.down {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	if p.mute {
		go func() { _, _ = io.Copy(io.Discard, server) }()
		return client, nil
	}
	go p.serve(textproto.NewConn(server))
	return client, nil
}

func (p *postOffice) serve(conn *textproto.Conn) {
	defer conn.Close()
	say := func(line string) { _ = conn.PrintfLine("%s", line) }
	say("220 mail.test")
	for {
		line, err := conn.ReadLine()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse, auth := p.refuse, p.auth
		p.mu.Unlock()
		switch command, _, _ := strings.Cut(line, " "); command {
		case "EHLO":
			say("250-mail.test")
			say("250 AUTH PLAIN")
		case "AUTH":
			say(strings.ReplaceAll(auth, "%s", line))
		case "MAIL":
			if refuse != "" {
				say(refuse)
				continue
			}
			say("250 fine")
		case "DATA":
			say("354 go on")
			raw, err := conn.ReadDotBytes()
			if err != nil {
				return
			}
			m := readMail(p, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")))
			p.mu.Lock()
			p.mails = append(p.mails, m)
			p.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

// take returns the mails that have come since it was last called.
func (p *postOffice) take() []received {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	mails := p.mails
	p.mails = nil
	return mails
}

// only returns the one mail that has come.
func (p *postOffice) only() received {
	p.Helper()
	mails := p.take()
	if len(mails) != 1 {
		p.Fatalf("%d mails have come, want 1: %q", len(mails), subjects(mails))
	}
	return mails[0]
}

// attempts is how often a client has asked for a connection.
func (p *postOffice) attempts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

func (p *postOffice) none() {
	p.Helper()
	if mails := p.take(); len(mails) > 0 {
		p.Fatalf("mails have come: %q", subjects(mails))
	}
}

func subjects(mails []received) (out []string) {
	for _, m := range mails {
		out = append(out, m.subject)
	}
	return out
}

// told is of how many failures the mails tell; what was in others that were lost is not counted twice.
func told(t testing.TB, mails []received) (n int) {
	t.Helper()
	for _, m := range mails {
		count := regexp.MustCompile(`(?m)^failures +(\d+)$|^\[worker@host\] Error: (\d+) more failures? of tasks$`).FindStringSubmatch(m.subject + "\n" + m.body)
		if count == nil {
			n++
			continue
		}
		number, err := strconv.Atoi(count[1] + count[2])
		if err != nil {
			t.Fatal(err)
		}
		n += number
	}
	return n
}

// journal is a log that a test can read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) count(text string) int {
	return strings.Count(j.String(), text)
}

// bubble is a Sender in a synctest bubble, with its post office.
type bubble struct {
	*testing.T
	*Sender
	office *postOffice
	log    *journal
}

func inBubble(t *testing.T, do func(*bubble)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t, office: &postOffice{TB: t}, log: &journal{}}
		var err error
		b.Sender, err = New(Config{
			URL: "smtp://ada:s3cret@localhost?tls=none", From: "tasks@example.com", To: []string{"ops@example.com"},
			Logger: slog.New(slog.NewTextHandler(b.log, nil)), dial: b.office.dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.office.auth = "235 welcome"
		defer b.close(time.Minute)
		do(b)
	})
}

// close closes the Sender, which may take so long.
func (b *bubble) close(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return b.Close(ctx)
}

// remembered is the number of errors that the Sender tells apart.
func (b *bubble) remembered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.throttle.kinds)
}

// fail is what the worker does when a task has failed.
func (b *bubble) fail(name, id, text string) {
	b.Hooks().OnFailure(b.Context(), &task.Attempt{
		Info: task.Info{Name: name, ID: id, Worker: "worker@host"}, State: task.Failure, Err: errors.New(text),
	})
}
