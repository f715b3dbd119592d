// Package event writes events as Celery's tools read them: JSON maps, which travel through the exchange celeryev.
package event

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Exchange is where events go, a durable topic exchange. Batch is the routing key of several in a list.
const (
	Exchange = "celeryev"
	Batch    = "task.multi"
)

// RoutingKey is where events of a type go, such as worker.heartbeat.
func RoutingKey(kind string) string { return strings.ReplaceAll(kind, "-", ".") }

// ContentType and ContentEncoding describe all events.
const (
	ContentType     = "application/json"
	ContentEncoding = "utf-8"
)

// Source sends events.
type Source struct {
	// Hostname is the name of the worker or client.
	Hostname string
	// Tick counts an event at the Lamport clock.
	Tick func() int64
}

// Encode writes an event: the fields that every one has, and more.
func (s *Source) Encode(kind string, at time.Time, more func(codec.Fields)) ([]byte, error) {
	serializer, _ := codec.ByName("json")
	body, err := serializer.EncodeMap(func(f codec.Fields) {
		f.Field("hostname").String(s.Hostname)
		f.Field("utcoffset").Int(hoursWest(at), 64)
		f.Field("pid").Int(int64(os.Getpid()), 64)
		f.Field("clock").Int(s.Tick(), 64)
		more(f)
		f.Field("timestamp").Float(float64(at.UnixMicro())/1e6, 64)
		f.Field("type").String(kind)
	})
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", kind, err)
	}
	return body, nil
}

// hoursWest is the offset from UTC as Celery has it: in whole hours, rounded down, positive in America. Receivers move the
// time by it (Celery 5.6: adjust_timestamp), which makes nothing better, but ours as wrong as those beside it.
func hoursWest(at time.Time) int64 {
	_, east := at.Local().Zone() //nolint:gosmopolitan // it is this machine's offset that counts
	hours := -east / 3600
	if -east%3600 < 0 {
		hours--
	}
	return int64(hours)
}

// Text writes a text, or null if there is none.
func Text(v codec.Value, text string) {
	if v.Present(text != "") {
		v.String(text)
	}
}

// Time writes a time as Celery does, or null if there is none.
func Time(v codec.Value, t time.Time) {
	if v.Present(!t.IsZero()) {
		v.String(t.Format("2006-01-02T15:04:05.000000-07:00"))
	}
}
