package codec

import "math"

// wholeInt turns a float into an integer if that is what it means: beyond
// 2^53 floats are whole because they have been rounded.
func wholeInt(x float64) (n int64, ok bool) {
	if math.Trunc(x) != x || math.Abs(x) > 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// parseInt reads decimal digits with an optional minus.
func parseInt(s []byte) (n int64, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	u, ok := parseUint(s)
	switch {
	case negative:
		return -int64(u), ok && u <= 1<<63
	default:
		return int64(u), ok && u <= math.MaxInt64
	}
}

// parseUint reads decimal digits.
func parseUint(s []byte) (n uint64, ok bool) {
	for _, c := range s {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
}
