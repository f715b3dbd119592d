package broker_test

import (
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/broker"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"amqp://guest:s3cret@localhost/":                       "amqp://guest:***@localhost/",
		"amqps://guest:s3cret@rabbit:5671/vhost":               "amqps://guest:***@rabbit:5671/vhost",
		"amqp://u:s3cret@one:5672,two:5672/v%2Fw?heartbeat=10": "amqp://u:***@one:5672,two:5672/v%2Fw",
		"amqp://u:s3cret@[::1]:5672":                           "amqp://u:***@[::1]:5672",
		"amqp://localhost":                                     "amqp://localhost",
		"amqp://":                                              "amqp://",
		"sqlite:":                                              "sqlite:",
		"sqlite:data/queue.db?sync=normal":                     "sqlite:data/queue.db?sync=normal",
		"memory:test":                                          "memory:test",
		"redis://:s3cret@localhost/0":                          "redis://:***@localhost/0",
		// Not well-formed:
		"amqp://u:s3cret@host:56x2":   "amqp://u:***@***",
		"amqp://u:s3/cr?et@host/":     "amqp://u:***@host/",
		"amqp://u:s3@cr#et@host/":     "amqp://u:***@host/",
		"amqp://u:s3cret%zz@host/":    "amqp://u:***@host/",
		"amqp://u:s3cret":             "amqp://***",
		"amqp://u:s3cret/vhost":       "amqp://***",
		"amqp:/u:s3cret@host":         "***",
		"u:s3cret@host":               "***",
		"s3cret":                      "***",
		"u:s3://cret@host":            "***",
		"amqp://u:s3cret@host?a=b@c":  "amqp://u:***@c",
		"amqp://u:s3cret@ho st\nx/":   "amqp://u:***@***",
		"amqp://u:p1,s3cret@h1,u2@h2": "amqp://u:***@h2",
	} {
		if got := broker.Redact(url); got != want {
			t.Errorf("Redact(%q) = %q, want %q", url, got, want)
		}
	}
}

// The password of a URL is never in what Redact returns, nor in the error about a URL that can't be opened.
func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"host:56x2", "%zz", "a@b", "h?x=1", "h/v", "h#x", "[::1%25eth0]", "h1,h2", ""} {
		f.Add("amqp", "guest", seed)
		f.Add("redis", "", seed)
	}
	const password = "s3cretPassw0rd"
	f.Fuzz(func(t *testing.T, scheme, user, rest string) {
		if strings.Contains(scheme+user+rest, password) || strings.ContainsAny(user, "@") || scheme == "sqlite" || scheme == "memory" {
			t.Skip()
		}
		url := scheme + "://" + user + ":" + password + "@" + rest
		if got := broker.Redact(url); strings.Contains(got, password) {
			t.Errorf("Redact(%q) = %q", url, got)
		}
		client, err := broker.Open(t.Context(), url)
		if err == nil {
			client.Close()
		} else if strings.Contains(err.Error(), password) {
			t.Errorf("the error for %q has the password: %v", url, err)
		}
	})
}
