package rabbitmq_test

import (
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
)

func TestOpenURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"amqp://":                              "amqp://guest@localhost:5672",
		"amqp://h":                             "amqp://guest@h:5672",
		"amqp://u:s3cret@h:1234/v":             "amqp://u@h:1234/v",
		"amqp://u:s3cret@h/%2Fv%40":            "amqp://u@h:5672/%2Fv@",
		"amqps://u:s3cret@a,b:99/":             "amqps://u@a:5671,b:99",
		"amqp://u:s3%40cret@[::1]:5/v":         "amqp://u@[::1]:5/v",
		"amqp://u:s3cret@h?heartbeat=5":        "amqp://u@h:5672",
		"amqp://h/%2f?connection_timeout=1000": "amqp://guest@h:5672",
	} {
		transport, err := rabbitmq.Open(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := transport.String(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
		transport.Close()
	}
}

// No error has any part of a password in it, however the URL is mistyped.
func TestOpenURLErrors(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "u:s3cret@h", "http://u:s3cret@h", "amqp:u:s3cret@h",
		"amqp://u:s3cret@h:56x2", "amqp://u:s3cret@h:0", "amqp://u:s3cret@h:5672,i:70000",
		"amqp://u:s3/cret@h", "amqp://u:1/s3cret@h", "amqp://u:s3?cret@h", "amqp://u:s3#cret@h", "amqp://u:12#s3cret",
		"amqp://u:s3cret%zz@h", "amqp://u:s3cret h", "amqp://u:s3cret@h/%zz",
		"amqp://u:s3cret@h?heartbeat=s3cret", "amqp://u:s3cret@h?nosuch=s3cret", "amqp://u:s3cret@h?cacertfile=x",
		"amqps://u:s3cret@h?cacertfile=/no/such/file", "amqps://u:s3cret@h?certfile=x", "amqp://u:s3cret@h?auth_mechanism=s3cret",
	} {
		_, err := rabbitmq.Open(t.Context(), url)
		if err == nil {
			t.Errorf("%q was accepted", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "cret") || strings.Contains(text, "s3") || !strings.HasPrefix(text, "rabbitmq: ") {
			t.Errorf("%q: %s", url, text)
		}
	}
}

func FuzzOpenURL(f *testing.F) {
	f.Add("amqp://u:", "@h:5672/v?heartbeat=1")
	f.Add("amqps://u:", "@[::1],h:56x2/")
	f.Add("amqp://u:1/", "@h")
	f.Add("amqp://u:1", "?x=%zz@")
	const password = "pl4nted-s3cret"
	f.Fuzz(func(t *testing.T, before, after string) {
		// The password is what stands between the first colon behind the scheme and the last @.
		if strings.Count(before, ":") < 2 || strings.LastIndex(before, ":") <= strings.Index(before, "://") || !strings.Contains(after, "@") {
			t.Skip()
		}
		transport, err := rabbitmq.Open(t.Context(), before+password+after)
		if err != nil {
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error has the password: %v", err)
			}
			return
		}
		defer transport.Close()
		if strings.Contains(transport.String(), password) {
			t.Errorf("the name has the password: %s", transport)
		}
	})
}
