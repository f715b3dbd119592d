package control

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// encode is v in JSON as others read it: without the escapes that are for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// plain is a tree that JSON can carry: what it has no form for is shown as Python does.
func plain(tree any) any {
	switch v := tree.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return codec.ReprTree(v, maxRepr)
		}
	case []byte:
		return codec.ReprTree(v, maxRepr)
	case time.Time:
		return isoTime(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = plain(v[k])
		}
		return out
	}
	return tree
}

// isoTime is a time as Python writes it.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }

// Seconds is a number that has a fraction in JSON also where it is whole: Python tells 5 from 5.0, and
// refuses the former where it wants a time.
type Seconds float64

func unixSeconds(t time.Time) Seconds { return Seconds(float64(t.UnixMicro()) / 1e6) } //nolint:mnd // microseconds

// MarshalJSON implements [json.Marshaler].
func (s Seconds) MarshalJSON() ([]byte, error) {
	out := strconv.AppendFloat(nil, float64(s), 'f', -1, 64)
	if !bytes.ContainsRune(out, '.') {
		out = append(out, ".0"...)
	}
	return out, nil
}
