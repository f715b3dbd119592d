package rabbitmq

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// alarm knows whether the broker takes messages of a connection, or reads no more of it because it is short of
// memory or disk.
type alarm struct {
	mu     sync.Mutex
	reason string
	over   chan struct{} // nil: no alarm; closed at its end
}

func watchAlarm(conn *connection) *alarm {
	a := new(alarm)
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	go func() {
		for b := range blocked {
			a.set(b)
		}
		a.set(amqp.Blocking{})
	}()
	return a
}

func (a *alarm) set(b amqp.Blocking) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case b.Active && a.over == nil:
		a.over = make(chan struct{})
	case !b.Active && a.over != nil:
		close(a.over)
		a.over = nil
	}
	a.reason = b.Reason
}

// blocked returns a channel that is closed when the alarm is over, nil if there is none.
func (a *alarm) blocked() (over <-chan struct{}, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.over, a.reason
}
