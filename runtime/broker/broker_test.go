package broker_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/broker"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, test := range []struct{ url, name string }{
		{"memory:" + t.Name(), "memory:" + t.Name()},
		{"sqlite:" + folder, "sqlite:" + filepath.Join(folder, "queue.db")},
		{"amqp://guest:s3cret@host/vhost", "amqp://guest@host:5672/vhost"},
		{"amqps://guest:s3cret@host", "amqps://guest@host:5671"},
	} {
		client, err := broker.Open(t.Context(), test.url)
		if err != nil {
			t.Errorf("Open(%q): %v", test.url, err)
			continue
		}
		if got := client.Transport().String(); got != test.name {
			t.Errorf("Open(%q) is %q, want %q", test.url, got, test.name)
		}
		if err := client.Close(); err != nil {
			t.Errorf("closing %q: %v", test.url, err)
		}
	}
}

func TestNoURLIsTheEmbeddedBroker(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	client, err := broker.Open(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	folder, _ = filepath.EvalSymlinks(folder)
	if got, want := client.Transport().String(), "sqlite:"+filepath.Join(folder, ".taskgen", "queue.db"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url  string
		want []string
	}{
		{"redis://:s3cret@localhost", []string{"redis://:***@localhost", "no broker has this scheme", "amqp://", "amqps://", "sqlite:", "memory:"}},
		{"guest:s3cret@localhost", []string{"broker ***", "amqp://"}},
		{"s3cret", []string{"not a URL", "sqlite:"}},
		{"amqp://guest:s3cret@localhost:56x2", []string{"amqp://guest:***@***", "port"}},
		{"sqlite::memory:", []string{"sqlite::memory:", "memory:"}},
	} {
		_, err := broker.Open(t.Context(), test.url)
		if err == nil {
			t.Errorf("Open(%q): no error", test.url)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q): %v\nwant %q in it", test.url, err, want)
			}
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q): the error has the password: %v", test.url, err)
		}
	}
}
