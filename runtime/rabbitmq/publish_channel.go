package rabbitmq

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publishChannel is a channel in confirm mode.
type publishChannel struct {
	*amqp.Channel
	session  *publishSession
	exchange string
	closes   chan *amqp.Error

	mu sync.Mutex
	// returns are the messages that no queue took. The broker returns a message before it
	// confirms it, so who has a confirm finds the return here. It has room for
	// the whole window, since a full one would stall the connection.
	returns chan amqp.Return
	drained map[string]struct{} // message ids from returns
	closed  error
}

func newPublishChannel(s *publishSession, exchange string) (*publishChannel, error) {
	ch, err := s.Channel()
	if err != nil {
		return nil, err
	}
	c := &publishChannel{
		Channel: ch, session: s, exchange: exchange,
		closes:  ch.NotifyClose(make(chan *amqp.Error, 1)),
		returns: ch.NotifyReturn(make(chan amqp.Return, windowMessages)),
		drained: make(map[string]struct{}),
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	return c, nil
}

// returned says whether a message that has been confirmed came back, and forgets it.
func (c *publishChannel) returned(messageID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for drained := false; !drained; {
		select {
		case r, open := <-c.returns:
			if open {
				c.drained[r.MessageId] = struct{}{}
			}
			drained = !open
		default:
			drained = true
		}
	}
	_, came := c.drained[messageID]
	delete(c.drained, messageID)
	return came
}

// cause says why the channel, which is closed, was closed.
func (c *publishChannel) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed == nil {
		c.closed = amqp.ErrClosed
		if err := <-c.closes; err != nil {
			c.closed = err
		}
	}
	return c.closed
}
