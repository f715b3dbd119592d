package rabbitmq

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// FuzzPublish: a message that is published is read as it was, in frames that the broker takes. How it is read is held to the library by FuzzContentHeader.
func FuzzPublish(f *testing.F) {
	for kind := range byte(20) {
		f.Add(append([]byte{3, 0, kind}, bytes.Repeat([]byte{kind, 7, 200}, 20)...), "q", "id", kind, kind%2 == 0)
	}
	f.Add([]byte{}, "", "", uint8(0), false)
	f.Fuzz(func(t *testing.T, data []byte, key, id string, size uint8, mandatory bool) {
		if len(key) > 255 || len(id) > 255 {
			return
		}
		want := amqp.Publishing{
			Headers: (&fields{data}).table(0), ContentType: key, ContentEncoding: id, DeliveryMode: size, Priority: size % 7, CorrelationId: id,
			ReplyTo: key, Expiration: id, MessageId: key, Timestamp: time.Unix(int64(size), 0), Type: id, UserId: key, AppId: id,
			Body: bytes.Repeat([]byte("body\xce"), int(size)*int(size)),
		}
		const limit = 1000
		frames, err := appendPublish(nil, 1, 128<<10, "", key, mandatory, &want)
		if err != nil {
			t.Fatal(err)
		}
		if method := publishFrame(key, mandatory); !bytes.HasPrefix(frames, []byte(method)) {
			t.Fatalf("it begins with %q, want %q", frames[:min(len(frames), len(method))], method)
		}
		small, err := appendPublish(nil, 1, limit, "", key, mandatory, &want)
		if err != nil {
			t.Fatal(err)
		}
		for _, frames := range [][]byte{frames, small} {
			frames = append([]byte(deliverFrame()), frames[len(publishFrame(key, mandatory)):]...)
			r, to := newFrameReader(&piecewise{rest: frames, piece: 1 << 20}), new(inbox)
			r.limit.Store(128 << 10)
			r.take("c", to)
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Fatalf("%v; not read: %q", err, rest)
			}
			read := to.waiting
			if len(read) != 1 {
				t.Fatalf("%d messages", len(read))
			}
			d := read[0]
			if _, deep := d.Headers[task.UnreadableHeader]; deep {
				return // deeper than anybody reads
			}
			got := amqp.Publishing{
				Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
				CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration, MessageId: d.MessageId, Timestamp: d.Timestamp,
				Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func publishFrame(key string, mandatory bool) string {
	flag := "\x00"
	if mandatory {
		flag = "\x01"
	}
	return frame(methodFrame, "\x00\x3c\x00\x28\x00\x00"+short("")+short(key)+flag)
}
