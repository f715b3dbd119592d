package task

import (
	"context"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/event"
)

// EventBulletin is where events go, and is to be listened to: "worker.#", "task.#", or "#".
func EventBulletin() Bulletin {
	return Bulletin{Name: event.Exchange, Type: Topic, Durable: true}
}

// EventBroadcast is how events of a sender travel: one JSON map, or a list of them.
func EventBroadcast(sender, routingKey string, body []byte) *Broadcast {
	return &Broadcast{
		Exchange: EventBulletin(), RoutingKey: routingKey,
		ContentType: event.ContentType, ContentEncoding: event.ContentEncoding,
		Headers: map[string]any{"hostname": sender}, Body: body,
	}
}

const sentEvent = "task-sent"

// tellSent sends the event task-sent, if that is asked for. Nothing depends on it.
func (c *Client) tellSent(ctx context.Context, m *Message) {
	if !c.config.SendEvents {
		return
	}
	source := event.Source{Hostname: c.config.Origin, Tick: c.clock.Tick}
	body, err := source.Encode(sentEvent, time.Now(), func(f codec.Fields) {
		f.Field("uuid").String(m.ID)
		for _, key := range []string{"root_id", "parent_id"} {
			id, _ := m.Headers[key].(string)
			event.Text(f.Field(key), id)
		}
		f.Field("name").String(m.Task)
		f.Field("args").String("()")
		f.Field("kwargs").String(or(m.shown, unshown))
		f.Field("retries").Int(0, 64)
		for _, key := range []string{"eta", "expires"} {
			at, _ := m.Headers[key].(string)
			event.Text(f.Field(key), at)
		}
		f.Field("queue").String(m.Queue)
		f.Field("exchange").String(m.Exchange)
		f.Field("routing_key").String(or(m.RoutingKey, m.Queue))
	})
	if err == nil {
		_ = c.transport.Broadcast(ctx, EventBroadcast(c.config.Origin, event.RoutingKey(sentEvent), body)) // it is news
	}
}
