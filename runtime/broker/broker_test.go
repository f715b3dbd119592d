package broker_test

import (
	"os"
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

// A client without a URL takes what a worker would take.
func TestOpenFromEnvironment(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct{ url, variable, file, want, problem string }{
		"given":            {url: "memory:a", variable: "memory:b", want: "memory:a"},
		"given with file":  {url: "memory:a", file: file("memory:b"), want: "memory:a"},
		"variable":         {variable: "memory:b", want: "memory:b"},
		"file":             {file: file("memory:c\n"), want: "memory:c"},
		"both":             {variable: "memory:b", file: file("memory:c"), problem: "TASKGEN_BROKER and TASKGEN_BROKER_FILE are both set"},
		"file is missing":  {file: "/gone/url", problem: "TASKGEN_BROKER_FILE /gone/url: no such file"},
		"file has rubbish": {file: file("amqp://u:s3cret@a\nx"), problem: "more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TASKGEN_BROKER", test.variable)
			t.Setenv("TASKGEN_BROKER_FILE", test.file)
			client, err := broker.Open(t.Context(), test.url)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("got %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if got := client.Transport().String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The store of results is named so too, by a program that asks for it.
func TestResultsFromEnvironment(t *testing.T) {
	t.Setenv("TASKGEN_RESULTS", "nosuch://u:s3cret@host")
	for name, test := range map[string]struct {
		options []broker.Option
		fails   bool
	}{
		"no option": {},
		"rpc":       {options: []broker.Option{broker.Results("rpc")}},
		"empty":     {options: []broker.Option{broker.Results("")}, fails: true},
	} {
		client, err := broker.Open(t.Context(), "memory:"+t.Name(), test.options...)
		if err == nil {
			err = client.Close()
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error has the password: %v", name, err)
		}
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoURLIsTheEmbeddedBroker(t *testing.T) {
	t.Setenv("TASKGEN_BROKER", "")
	t.Setenv("TASKGEN_BROKER_FILE", "")
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
