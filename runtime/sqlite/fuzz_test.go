package sqlite

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/internal/frugal"
	"github.com/taskgen/taskgen/runtime/task"
)

// FuzzProps reads any bytes as a stored row's props. What can be read at all
// must be written and read again alike.
func FuzzProps(f *testing.F) {
	whole, err := encodeProps(&task.Message{
		Exchange: "x", ContentType: "application/json",
		Headers: map[string]any{"a": []any{int32(1), "b", nil, 1.5, true, float32(2), uint64(3), []byte{4}}, "m": map[string]any{}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("\x96\xa0\xa0\xa0\xa0\xa0\xdd\xff\xff\xff\xff"))
	f.Add([]byte("\x96\xa0\xa0\xa0\xa0\xa0\x81\xa1k\xdb\xff\xff\xff\xff"))
	f.Add([]byte("\x96\xa0\xa0\xa0\xa0\xa0\x81\xa1k" + strings.Repeat("\xdd\x00\x00\x00\x01", 100_000)))
	f.Add([]byte("\x96\xa0\xa0\xa0\xa0\xa0" + strings.Repeat("\x81\xa1k", 60) + "\xc0"))
	f.Add([]byte{0x96})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again task.Message
		var err error
		frugal.Check(t, func() { err = decodeProps(b, &m) })
		if err != nil {
			return
		}
		written, err := encodeProps(&m)
		if err != nil {
			t.Fatal(err)
		}
		if err := decodeProps(written, &again); err != nil {
			t.Fatal(err)
		}
		// cmp takes for ever on deep lists, and NaN is not equal to itself, but looks alike.
		if !reflect.DeepEqual(m, again) && fmt.Sprintf("%#v", m) != fmt.Sprintf("%#v", again) {
			t.Errorf("%q became %q: %#v and %#v", b, written, m, again)
		}
	})
}

// FuzzRing reads any datagram that a stranger may send to the doorbell.
func FuzzRing(f *testing.F) {
	f.Add(ring{queues: []int64{1, 300}, due: 1 << 40, results: []uint32{7, 8}}.marshal())
	f.Add(ring{all: true}.marshal())
	f.Add([]byte(ringMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRing(b)
		if err != nil || len(b) > maxRing/4 {
			return
		}
		again, err := parseRing(r.marshal())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again, cmp.AllowUnexported(ring{})); diff != "" {
			t.Error(diff)
		}
	})
}
