package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// dispatch is one message on its way, over as many sessions as it takes.
type dispatch struct {
	*publishing
	reserved  int64 // of the window
	publisher *publisher
	channel   *publishChannel
	confirm   *confirm
	sent      time.Time
	// uncertain says that an earlier try got no answer: the message may be queued.
	uncertain bool
	broken    int  // channels in a row that the broker closed under this message
	redrawn   bool // the topology was declared anew because the message was not taken
	// refused is how often the broker has refused the message, refusal why, notBefore when it is worth another try.
	refused   int
	refusal   error
	notBefore time.Time
}

func (d *dispatch) tryReserve(p *publisher) bool {
	if d.reserved == 0 && p.window.TryAcquire(d.weight()) {
		d.reserved, d.publisher = d.weight(), p
	}
	return d.reserved > 0
}

func (d *dispatch) reserve(ctx context.Context, p *publisher) error {
	if d.tryReserve(p) {
		return nil
	}
	if err := p.window.Acquire(ctx, d.weight()); err != nil {
		return err
	}
	d.reserved, d.publisher = d.weight(), p
	return nil
}

func (d *dispatch) release() {
	if d.reserved > 0 {
		d.publisher.window.Release(d.reserved)
		d.reserved = 0
	}
}

// weight is the message's part of the window, which bounds bytes and, by this minimum, messages.
func (d *dispatch) weight() int64 {
	return min(max(d.size(), windowBytes/windowMessages), windowBytes)
}

// send puts the message on the wire, waiting for a connection, its topology, an alarm and the
// window as long as ctx lasts. After an error nothing is reserved.
func (d *dispatch) send(ctx context.Context, p *publisher) error {
	err := d.trySend(ctx, p)
	if err != nil {
		d.release()
		return d.failed(err)
	}
	return nil
}

func (d *dispatch) trySend(ctx context.Context, p *publisher) error {
	d.publisher = p
	if wait := time.Until(d.notBefore); wait > 0 && !sleep(ctx, wait) {
		return errors.Join(context.Cause(ctx), d.refusal)
	}
	for {
		s, err := p.connected(ctx)
		if err != nil {
			return err
		}
		err = d.sendOver(ctx, s)
		if err == nil || !lost(err) {
			return err
		}
		if cause := context.Cause(ctx); cause != nil {
			if !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return err
		}
		// The session or the channel ended on the way: the next one is another chance.
		select {
		case <-s.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(firstBackoff):
		}
	}
}

func (d *dispatch) sendOver(ctx context.Context, s *publishSession) error {
	d.aimIfDelayed()
	if err := s.ready(ctx, d.publishing); err != nil {
		return err
	}
	if err := d.reserve(ctx, d.publisher); err != nil {
		return s.explain(err)
	}
	d.aimIfDelayed() // to create the ladder, or to wait, took its time
	var err error
	if d.channel, err = s.channel(ctx, d.exchange); err != nil {
		return err
	}
	d.sent = time.Now()
	if d.properties.MessageId == "" { // who gets both copies of a message that is sent again knows them by it
		d.properties.MessageId = d.publisher.messageID()
	}
	// The write goes to a buffer: it never blocks, and if it fails the message is not on its way.
	d.confirm, err = d.channel.publish(d.exchange, d.key, d.mandatory(), &d.properties)
	if err != nil {
		s.forgetChannel(d.channel)
	}
	return err
}

func (d *dispatch) aimIfDelayed() {
	if d.delayed {
		d.aim(time.Now())
	}
}

// confirmed waits until the broker has taken responsibility for a message that was sent, and sends it as often
// as that takes.
func (d *dispatch) confirmed(ctx context.Context) error {
	for {
		if again, err := d.wait(ctx); !again {
			return err
		}
		if err := d.send(ctx, d.publisher); err != nil {
			return err
		}
	}
}

// wait waits for the answer to the last send. again says that there is none to be had, and that
// the message is to be sent once more.
func (d *dispatch) wait(ctx context.Context) (again bool, err error) {
	select {
	case <-d.confirm.done:
	case <-ctx.Done():
		select {
		case <-d.confirm.done:
		default:
			go d.abandon()
			d.uncertain = true
			return false, d.failed(d.channel.session.explain(context.Cause(ctx)))
		}
	}
	d.release()
	switch d.confirm.answer {
	case acked:
		return false, nil
	case returned:
		return d.notTaken(d.unroutable(d.channel.session.exchangeType(d.Exchange), d.channel.session.declaring.mode))
	case nacked:
		return d.refusedBy(errors.New("the broker refused it (basic.nack): the queue is full, or the broker has failed to store it"))
	}
	d.uncertain = true
	cause := d.channel.cause()
	d.channel.session.forgetChannel(d.channel)
	if d.publisher.ctx.Err() != nil {
		return false, d.failed(context.Cause(d.publisher.ctx))
	}
	// The first time, an exchange or queue may have been deleted, and is now declared anew.
	if d.channel.session.alive() {
		if d.broken++; d.broken > 1 {
			return false, d.failed(cause)
		}
		d.channel.session.forget(d.publishing, d.sent)
	}
	return true, nil
}

// maxRefusals is how often the broker may refuse a message before that is told.
const maxRefusals = 4

// refusedBy handles a message that the broker has refused. While a quorum queue that was deleted is made anew it does so
// for a moment (RabbitMQ 3.10); a queue that is full stays so.
func (d *dispatch) refusedBy(err error) (again bool, _ error) {
	if d.refused++; d.refused >= maxRefusals || !d.creates() {
		return d.notTaken(err)
	}
	d.channel.session.forget(d.publishing, d.sent)
	d.refusal, d.notBefore = err, time.Now().Add(time.Duration(d.refused)*recreatePause)
	return true, nil
}

// notTaken handles a message that the broker has surely not queued: perhaps its
// queue was deleted after it was declared here, or its exchange, which had another type than the message
// says, was made anew. That is worth one more try.
func (d *dispatch) notTaken(err error) (again bool, _ error) {
	mistyped := routing.Differs(d.channel.session.exchangeType(d.Exchange), d.ExchangeType)
	if !d.creates() && !mistyped || d.redrawn {
		if d.Existing {
			d.channel.session.forget(d.publishing, d.sent)
		}
		return false, d.failed(err)
	}
	d.redrawn = true
	d.channel.session.forget(d.publishing, d.sent)
	return true, nil
}

// abandon lets go of a message whose caller has left, when its answer comes or its channel ends. There
// are never more of these than the window has places.
func (d *dispatch) abandon() {
	<-d.confirm.done
	d.release()
}

// failed names the message, and says if it may be queued all the same.
func (d *dispatch) failed(err error) error {
	err = d.wrap(err)
	if d.uncertain {
		return &task.UnconfirmedError{ID: d.ID, Cause: err}
	}
	return err
}
