package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// exim is the mail server that scripts/smtp.sh has started, and what a test has there of its own: a name with a
// certificate, and a receiver.
type exim struct {
	*testing.T
	url                    *url.URL
	name, authority        string
	maildir, receiver      string
	implicitPort, password string
}

func newExim(t *testing.T) *exim {
	t.Helper()
	raw := os.Getenv("TASKGEN_TEST_SMTP")
	if raw == "" {
		t.Skip("needs a mail server: run `make test`, or set TASKGEN_TEST_SMTP to the URL that scripts/smtp.sh start prints")
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	e := &exim{T: t, name: uuid.NewString() + ".test", receiver: uuid.NewString() + "@example.org"}
	options := u.Query()
	e.maildir, e.implicitPort = options.Get("maildir"), options.Get("smtps")
	e.password, _ = u.User.Password()
	u.RawQuery = ""
	e.url = u
	e.certify(options.Get("certificates"))
	return e
}

// certify makes a certificate that signs itself, for the server to show and for a test to trust.
func (e *exim) certify(folder string) {
	e.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	e.check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: e.name}, DNSNames: []string{e.name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	e.check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	e.check(err)
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	e.authority = filepath.Join(e.TempDir(), "authority.pem")
	e.check(os.WriteFile(e.authority, public, 0o644))
	shown := filepath.Join(folder, e.name)
	// Exim has another user than the test. The key is worth nothing.
	e.check(os.WriteFile(shown, append(public, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), 0o644))
	e.Cleanup(func() { os.Remove(shown) })
}

func (e *exim) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// trusted is the URL whose certificate is trusted, with more options.
func (e *exim) trusted(options ...string) string {
	return e.url.String() + "?" + strings.Join(append(options, "cacertfile="+url.QueryEscape(e.authority), "server_name_indication="+e.name), "&")
}

// implicit is a URL for TLS from the start.
func (e *exim) implicit(raw string) string {
	return strings.Replace("smtps"+strings.TrimPrefix(raw, "smtp"), e.url.Port(), e.implicitPort, 1)
}

// delivered are the mails that have come to the receiver.
func (e *exim) delivered() (out []received) {
	e.Helper()
	files, err := filepath.Glob(filepath.Join(e.maildir, "new", "*"))
	e.check(err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		e.check(err)
		if strings.Contains(string(raw), "\nEnvelope-to: "+e.receiver+"\n") {
			out = append(out, readMail(e, []byte(strings.ReplaceAll(string(raw), "\n", "\r\n"))))
		}
	}
	return out
}

// await waits for so many mails.
func (e *exim) await(n int) []received {
	e.Helper()
	var mails []received
	e.eventually("mails have come", func() bool {
		mails = e.delivered()
		return len(mails) >= n
	})
	if len(mails) != n {
		e.Fatalf("%d mails have come, want %d: %q", len(mails), n, subjects(mails))
	}
	return mails
}

func (e *exim) eventually(what string, holds func() bool) {
	e.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			e.Fatalf("it never came to pass that %s", what)
		}
	}
}

// sender makes a Sender to the receiver, with its log.
func (e *exim) sender(url string, change ...func(*Config)) (*Sender, *journal) {
	e.Helper()
	log := &journal{}
	config := Config{URL: url, From: "Tasks <tasks@example.com>", To: []string{e.receiver}, Logger: slog.New(slog.NewTextHandler(log, nil))}
	for _, c := range change {
		c(&config)
	}
	s, err := New(config)
	e.check(err)
	e.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = s.Close(ctx)
		if log.count(e.password) > 0 {
			e.Errorf("the password is in the log:\n%s", log)
		}
	})
	return s, log
}

// workerArgs are the arguments of the tasks of these tests.
type workerArgs struct {
	Text     string
	Password string
}

func (a *workerArgs) Visit(f codec.Fields) {
	codec.String(f.Field("text"), &a.Text)
	codec.String(f.Field("password"), &a.Password)
}

type workerTask = task.Task[workerArgs, string]

func define(spec task.Spec) workerTask {
	spec.Secret = []string{"password"}
	return task.Define[workerArgs](spec, codec.String[string])
}

var (
	fails     = define(task.Spec{Name: "shop.fails"})
	panics    = define(task.Spec{Name: "shop.panics"})
	silent    = define(task.Spec{Name: "shop.silent", DisableErrorEmails: true})
	retries   = define(task.Spec{Name: "shop.retries", AutoRetry: true, MaxRetries: new(2), DefaultRetryDelay: new(time.Duration(1))})
	succeeds  = define(task.Spec{Name: "shop.succeeds"})
	testTasks = func() *task.Registry {
		r := task.NewRegistry()
		fail := func(_ context.Context, a *workerArgs) (string, error) { return "", &BalanceError{a.Text} }
		fails.Handle(r, fail)
		silent.Handle(r, fail)
		retries.Handle(r, fail)
		panics.Handle(r, func(_ context.Context, a *workerArgs) (string, error) { panic(a.Text) })
		succeeds.Handle(r, func(_ context.Context, a *workerArgs) (string, error) { return a.Text, nil })
		return r
	}
)

// startWorker runs a worker with a broker of its own until the test ends, and returns a context with a client.
func startWorker(t testing.TB, hooks ...task.Hooks) context.Context {
	t.Helper()
	broker := memory.New()
	w, err := task.NewWorker(broker, testTasks(), task.WorkerConfig{Name: "worker@web1", Hooks: hooks, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return task.WithClient(ctx, task.NewClient(broker, task.ClientConfig{}))
}

// run runs a task to its end, and returns its id.
func run(t testing.TB, ctx context.Context, which workerTask, text string) string {
	t.Helper()
	call, err := which.Send(ctx, &workerArgs{Text: text, Password: "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Get(ctx); err != nil && !errors.As(err, new(*task.TaskError)) {
		t.Fatal(err)
	}
	return call.ID
}
