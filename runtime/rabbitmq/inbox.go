package rabbitmq

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inbox is where the deliveries of a consumer come to. They wait there until it is opened, never more than the prefetch.
type inbox struct {
	mu      sync.Mutex // held while one is handed out
	waiting []amqp.Delivery
	deliver func(*amqp.Delivery) // nil: not open yet
}

// put hands a delivery out.
func (b *inbox) put(d *amqp.Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deliver == nil {
		b.waiting = append(b.waiting, *d)
		return
	}
	b.deliver(d)
}

// open hands out what has come and what will, by calls of deliver, one at a time. They hold up the connection's reader.
func (b *inbox) open(deliver func(*amqp.Delivery)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deliver = deliver
	for i := range b.waiting {
		deliver(&b.waiting[i])
	}
	b.waiting = nil
}

// close waits for the call that is under way. There are no more.
func (b *inbox) close() { b.open(func(*amqp.Delivery) {}) }
