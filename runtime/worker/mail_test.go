package worker

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// mailbox is a receiver at the tests' mail server.
type mailbox struct {
	*testing.T
	server, folder, receiver string
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	raw := os.Getenv("TASKGEN_TEST_SMTP")
	if raw == "" {
		t.Skip("needs a mail server: run `make test`, or set TASKGEN_TEST_SMTP to the URL that scripts/smtp.sh start prints")
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &mailbox{t, "smtp://" + u.Host + "?tls=none", u.Query().Get("maildir"), uuid.NewString() + "@open.test"}
}

// await waits for so many mails.
func (m *mailbox) await(n int) (mails []string) {
	m.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		mails = nil
		files, err := filepath.Glob(filepath.Join(m.folder, "new", "*"))
		if err != nil {
			m.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				m.Fatal(err)
			}
			if strings.Contains(string(text), "\nEnvelope-to: "+m.receiver+"\n") {
				mails = append(mails, string(text))
			}
		}
		if len(mails) == n {
			return mails
		}
		if len(mails) > n || time.Now().After(end) {
			m.Fatalf("%d mails have come, want %d:\n%s", len(mails), n, strings.Join(mails, "\n"))
		}
	}
}

// A failed task is mailed at once; what was only counted is told when the worker stops.
func TestMail(t *testing.T) {
	box := newMailbox(t)
	t.Setenv(mailVariable, "smtp://nobody.invalid") // the flag wins
	broker := "sqlite:" + t.TempDir()
	b := start(t, nil, "-broker", broker, "-hostname", "w1@box", "-mail", box.server, "-mail-to", "Ops <"+box.receiver+">, x@open.test", "-mail-from", "tasks@example.com")
	s := newShell(t)
	for range 3 {
		s.want(1, "", "sent example.com/app/users.fail to queue \"mail\", id ID\nworker: task example.com/app/users.fail ID failed: OverdrawnError: no money\n",
			"-broker", broker, "call", "users.fail", `["no money", 1]`)
	}
	box.await(1)
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	mails := strings.Join(box.await(2), "\n")
	for _, want := range []string{"Subject: [w1@box] Error: Task example.com/app/users.fail", "2 times example.com/app/users.fail", "From: <tasks@example.com>", "OverdrawnError: no money"} {
		if !strings.Contains(mails, want) {
			t.Errorf("%q is missing in\n%s", want, mails)
		}
	}
}

func TestMailFromEnvironment(t *testing.T) {
	box := newMailbox(t)
	t.Setenv(mailVariable, box.server)
	broker := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", broker, "-mail-to", box.receiver, "-mail-from", "tasks@example.com")
	s := newShell(t)
	if code := s.run("-broker", broker, "call", "users.fail", `["no money", 1]`); code != 1 {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	box.await(1)
}

// The URL alone, which may be in the environment of every program, mails to nobody.
func TestMailToNobody(t *testing.T) {
	t.Setenv(mailVariable, "no URL")
	b := start(t, nil, "-broker", "memory:"+t.Name())
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A mail server that is not there holds up the end of a worker no longer than it may.
func TestMailUnsent(t *testing.T) {
	t.Parallel()
	broker := "sqlite:" + t.TempDir()
	b := start(t, nil, "-broker", broker, "-mail", "smtp://ada:s3cret@127.0.0.1:1", "-mail-to", "ops@example.com", "-mail-from", "tasks@example.com")
	s := newShell(t)
	if code := s.run("-broker", broker, "call", "users.fail", `["no money", 1]`); code != 1 {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	began := time.Now()
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > mailPatience+10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	b.err.await(t, "1 mail about 1 failure could not be sent to smtp://ada@127.0.0.1:1")
	if strings.Contains(b.err.String(), "s3cret") {
		t.Errorf("the password is in the log:\n%s", &b.err)
	}
}

func TestMailMisuse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"-mail-to a@x":                              "-mail-to needs -mail or TASKGEN_MAIL",
		"-mail-from a@x":                            "need -mail-to",
		"-mail smtp://ada:s3cret@host":              "need -mail-to",
		"-mail smtp://ada:s3cret@host -mail-to a@x": "-mail-to needs -mail-from",
		"-mail smtp://ada:s3/cret@host -mail-to a@x -mail-from a@x":      "URL of the mail server: it has an @, / or # where none can be",
		"-mail http://ada:s3cret@host -mail-to a@x -mail-from a@x":       "smtp:// or smtps://",
		"-mail smtp://ada:s3cret@host -mail-to a@x -mail-from a":         `sender's address: "a"`,
		"-mail smtp://ada:s3cret@host -mail-to a@x,b -mail-from a@x":     `receiver's address: "a@x,b"`,
		"-mail smtp://host?cacertfile=/gone -mail-to a@x -mail-from a@x": `option "cacertfile"`,
	} {
		s := newShell(t)
		if code := s.run(strings.Fields(line)...); code != misused || !strings.Contains(s.err.String(), want) || strings.Contains(s.err.String(), "cret") {
			t.Errorf("worker %s: exit code %d and %swant 2 and %q", line, code, &s.err, want)
		}
	}
}
