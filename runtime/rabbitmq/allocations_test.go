package rabbitmq

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What may be allocated for each message between the worker and the network, which the gates of runtime/task don't see.
const (
	maxPerPublish  = 0 // measured: 0
	maxPerDelivery = 5 // measured: 4: the body, the texts of the properties in one, the table
)

// A message is written and read with few allocations. They do not depend on the machine, so this is where a change shows that makes tasks slower.
func TestAllocationsOfMessage(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too: make test runs this without it")
	}
	const id = "01234567-0123-0123-0123-0123456789ab"
	p := amqp.Publishing{
		Headers:     amqp.Table{"lang": "go", "task": "users.create", "id": id, "root_id": id, "retries": int32(0), "ignore_result": true},
		ContentType: "application/x-msgpack", ContentEncoding: "binary", DeliveryMode: amqp.Persistent, CorrelationId: id, MessageId: id + "-1",
		Body: make([]byte, 100),
	}
	var frames []byte
	perPublish := testing.AllocsPerRun(1000, func() {
		frames, _ = appendPublish(frames[:0], 1, frameSize, "", "users", true, &p)
	})
	if perPublish > maxPerPublish {
		t.Errorf("%.1f allocations for each message that is written, want at most %d", perPublish, maxPerPublish)
	}
	message := append([]byte(deliverFrame()), frames[len(publishFrame("users", true)):]...)
	conn, delivered := &piecewise{piece: len(message)}, 0
	r, to := newFrameReader(conn), new(inbox)
	to.open(func(d *amqp.Delivery) {
		if d.Headers["id"] == id {
			delivered++
		}
	})
	r.take("c", to)
	const runs = 1000
	perDelivery := testing.AllocsPerRun(runs, func() {
		conn.rest = message
		if err := r.fill(); err != nil {
			t.Error(err)
		}
		r.sift()
	})
	t.Logf("%.1f and %.1f allocations", perPublish, perDelivery)
	if delivered != runs+1 {
		t.Errorf("%d messages came, want %d", delivered, runs+1)
	}
	if perDelivery > maxPerDelivery {
		t.Errorf("%.1f allocations for each delivery, want at most %d", perDelivery, maxPerDelivery)
	}
}
