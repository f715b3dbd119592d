package codec

import (
	"math"
	"math/big"
	"strconv"
)

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

// exactFloat is n as a float; ok is false if that would be another number.
func exactFloat(n int64) (x float64, ok bool) {
	x = float64(n)
	return x, x < 1<<63 && int64(x) == n
}

// exactFloatUint is exactFloat for the numbers that only a uint64 holds.
func exactFloatUint(n uint64) (x float64, ok bool) {
	x = float64(n)
	return x, x < 1<<64 && uint64(x) == n
}

// exactFloatText says whether the digits of a whole number are those of x, in full or, as others write
// floats, with zeros in place of the digits that a float doesn't need.
func exactFloatText(digits []byte, x float64) bool {
	const always = 15 // digits fit
	if len(digits) <= always {
		return true
	}
	var room [512]byte // the largest float has 309 digits
	return string(strconv.AppendFloat(room[:0], x, 'f', 0, 64)) == string(digits) ||
		string(strconv.AppendFloat(room[:0], x, 'f', -1, 64)) == string(digits)
}

// exactFloatBig is exactFloat for what no uint64 holds.
func exactFloatBig(n *big.Int) (x float64, ok bool) {
	x, accuracy := new(big.Float).SetInt(n).Float64()
	return x, accuracy == big.Exact
}
