package worker

import (
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A worker that the broker refuses ends at once and says why; or waits, if it is told to.
func TestRefusedLogin(t *testing.T) {
	t.Parallel()
	broker := os.Getenv("TASKGEN_TEST_AMQP")
	if broker == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	wrongPassword, wrongHost := *u, *u
	wrongPassword.User = url.UserPassword(u.User.Username(), "s3cret")
	wrongHost.Path = "/no-such-vhost"
	for name, test := range map[string]struct{ url, want string }{
		"password":     {wrongPassword.String(), "refuses user \"" + u.User.Username() + "\""},
		"virtual host": {wrongHost.String(), "no-such-vhost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			worker := launchChild(t, "-broker", test.url)
			if code := worker.exitCode(); code != failed {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			log := worker.log.String()
			if !strings.Contains(log, ": the broker refuses the worker: rabbitmq: ") || !strings.Contains(log, test.want) {
				t.Error("the cause is not named")
			}
			if strings.Contains(log, "s3cret") || strings.Count(log, "refuses user") != 1 || strings.Contains(log, "level=") {
				t.Error("the log has the password, or too much")
			}
		})
	}
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		worker := launchChild(t, "-broker", wrongPassword.String(), "-wait-for-login", "-health", "127.0.0.1:0")
		worker.log.await(t, "the broker refuses the worker")
		probe(t, &worker.log).want("/readyz", 503, "not consuming: the broker refuses the login\n")
		time.Sleep(2 * time.Second) // it must not say so again
		if log := worker.log.String(); strings.Count(log, "the broker refuses the worker") != 1 || strings.Contains(log, "s3cret") {
			t.Error("the log has the password, or too much")
		}
		worker.signal(syscall.SIGTERM)
		if code := worker.exitCode(); code != succeeded {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		// Names with this beginning are the broker's own.
		worker := launchChild(t, "-broker", broker, "-Q", "amq."+uuid.NewString())
		if code := worker.exitCode(); code != failed {
			t.Errorf("exit code %d", code)
		}
		worker.log.await(t, "ACCESS_REFUSED")
		if log := worker.log.String(); strings.Count(log, "ACCESS_REFUSED") != 1 {
			t.Error("the cause is told more than once")
		}
	})
}
