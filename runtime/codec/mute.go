package codec

import (
	"encoding/json"
	"time"
)

// mute is a Value that leaves everything as it is.
type mute struct{}

func (mute) Bool(b bool) bool                       { return b }
func (mute) Int(n int64, _ int) int64               { return n }
func (mute) Uint(n uint64, _ int) uint64            { return n }
func (mute) Float(x float64, _ int) float64         { return x }
func (mute) String(s string) string                 { return s }
func (mute) Bytes(b []byte) []byte                  { return b }
func (mute) Time(t time.Time) time.Time             { return t }
func (mute) Duration(d time.Duration) time.Duration { return d }
func (mute) JSON(j json.RawMessage) json.RawMessage { return j }
func (mute) Raw(raw []byte) []byte                  { return raw }
func (mute) Any(any)                                {}
func (mute) Present(set bool) bool                  { return set }
func (mute) List(n int) int                         { return n }
func (mute) Map(n int) int                          { return n }
func (mute) End()                                   {}
func (mute) Grow(int) bool                          { return true }

// Rest returns a visit of all fields but the first.
func Rest(visit func(Fields)) func(Fields) {
	return func(f Fields) { visit(&rest{Fields: f}) }
}

// rest hides the first field.
type rest struct {
	Fields
	begun bool
}

func (r *rest) Field(name string) Value {
	if !r.begun {
		r.begun = true
		return mute{}
	}
	return r.Fields.Field(name)
}
