package rabbitmq

import (
	"errors"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Every message gets the answer that is its own, in whatever order answers come, and none when the channel ends before.
func TestAnswers(t *testing.T) {
	t.Parallel()
	c := &publishChannel{session: &publishSession{connection: &connection{Connection: new(amqp.Connection), frames: newFrameReader(nil)}}, next: 1, closed: make(chan struct{})}
	ids := []string{"one", "two", "three", "four", "five", "six", "seven", "eight"}
	for _, id := range ids {
		c.waiting = append(c.waiting, &confirm{messageID: id, done: make(chan struct{})})
	}
	all := append([]*confirm{}, c.waiting...)
	expect := func(want ...answer) {
		t.Helper()
		for i, m := range all {
			if got := isClosed(m.done); got != (want[i] != unanswered) || m.answer != want[i] && m.answer != returned {
				t.Errorf("message %s: answered %t, %d, want %d", m.messageID, got, m.answer, want[i])
			}
		}
	}
	const no = unanswered
	c.answered(9, false, acked) // never sent
	c.answered(0, false, acked)
	expect(no, no, no, no, no, no, no, no)
	c.answered(3, false, acked)
	expect(no, no, acked, no, no, no, no, no)
	c.answered(2, true, nacked)
	expect(nacked, nacked, acked, no, no, no, no, no)
	c.answered(2, true, acked) // once more
	c.put(&amqp.Delivery{MessageId: "five"})
	c.answered(5, true, acked)
	expect(nacked, nacked, acked, acked, returned, no, no, no)
	c.answered(7, false, acked)
	reason := &amqp.Error{Code: amqp.NotFound}
	closes := make(chan *amqp.Error, 1)
	closes <- reason
	c.watch(closes)
	for _, m := range all {
		<-m.done
	}
	if all[5].answer != unanswered || all[6].answer != acked || all[7].answer != unanswered {
		t.Errorf("when the channel had ended: %d, %d, %d", all[5].answer, all[6].answer, all[7].answer)
	}
	if !errors.Is(c.cause(), reason) {
		t.Errorf("it ended because of %v", c.cause())
	}
	if _, err := c.publish("", "q", true, &amqp.Publishing{}); !errors.Is(err, amqp.ErrClosed) {
		t.Errorf("a message was sent after the end: %v", err)
	}
}
