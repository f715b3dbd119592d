package codec

import (
	"math"
	"time"
)

// appendTime appends RFC 3339 text with as many digits as t needs, 0, 3, 6 or
// 9, and "+00:00" rather than "Z": Python before 3.11 reads no other form.
// ok is false for years that have no such text.
func appendTime(dst []byte, t time.Time) (_ []byte, ok bool) {
	_, offset := t.Zone()
	if offset%60 != 0 { // such were in use before 1972
		t, offset = t.UTC(), 0
	}
	year, month, day := t.Date()
	if year < 1 || year > 9999 {
		return dst, false
	}
	hour, minute, second := t.Clock()
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, int(month), 2), '-')
	dst = append(appendDigits(dst, day, 2), 'T')
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	dst = appendDigits(dst, second, 2)
	switch ns := t.Nanosecond(); {
	case ns == 0:
	case ns%1e6 == 0:
		dst = appendDigits(append(dst, '.'), ns/1e6, 3)
	case ns%1e3 == 0:
		dst = appendDigits(append(dst, '.'), ns/1e3, 6)
	default:
		dst = appendDigits(append(dst, '.'), ns, 9)
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = appendDigits(append(dst, sign), offset/3600, 2)
	return appendDigits(append(dst, ':'), offset/60%60, 2), true
}

// appendDigits appends a number with zeros in front, width digits in all.
func appendDigits(dst []byte, n, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// parseTime reads RFC 3339 and what Python's isoformat makes: 'T' or a space,
// 0 to 9 digits of fraction, 'Z', ±HH:MM, ±HHMM or no offset, which means UTC;
// or a date alone, which is its midnight in UTC. There is no year 0, which no
// writer takes either.
func parseTime(s []byte) (time.Time, bool) {
	p := timeParser{s: s}
	year, month, day := p.digits(4, 0), p.after('-', 2), p.after('-', 2)
	if p.bad || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	if len(p.s) == 0 {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC), true
	}
	if !p.skip('T') && !p.skip(' ') {
		return time.Time{}, false
	}
	hour, minute, second, ns := p.digits(2, 0), p.after(':', 2), p.after(':', 2), p.fraction()
	zone := p.zone()
	if p.bad || len(p.s) > 0 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, ns, zone), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// timeParser takes a time apart from its front.
type timeParser struct {
	s   []byte
	bad bool
}

func (p *timeParser) skip(c byte) bool {
	if len(p.s) == 0 || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

// after is the number of n digits behind c.
func (p *timeParser) after(c byte, n int) int {
	if !p.skip(c) {
		p.bad = true
	}
	return p.digits(n, 0)
}

// digits appends n digits to the number x.
func (p *timeParser) digits(n, x int) int {
	if len(p.s) < n {
		p.bad = true
		return 0
	}
	for _, c := range p.s[:n] {
		if c < '0' || c > '9' {
			p.bad = true
		}
		x = x*10 + int(c-'0')
	}
	p.s = p.s[n:]
	return x
}

func (p *timeParser) fraction() (ns int) {
	if !p.skip('.') {
		return 0
	}
	n := 0
	for n < len(p.s) && n < 9 && '0' <= p.s[n] && p.s[n] <= '9' {
		n++
	}
	if n == 0 {
		p.bad = true
	}
	ns = p.digits(n, 0)
	for ; n < 9; n++ {
		ns *= 10
	}
	return ns
}

func (p *timeParser) zone() *time.Location {
	if len(p.s) == 0 || p.skip('Z') {
		return time.UTC
	}
	sign := 1
	if p.skip('-') {
		sign = -1
	} else if !p.skip('+') {
		p.bad = true
	}
	hours := p.digits(2, 0)
	p.skip(':')
	minutes := p.digits(2, 0)
	if hours > 23 || minutes > 59 {
		p.bad = true
	}
	if p.bad || hours == 0 && minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", sign*(hours*3600+minutes*60))
}

// durationSeconds returns d as seconds; exact says whether they are d again
// when read.
func durationSeconds(d time.Duration) (seconds float64, exact bool) {
	seconds = d.Seconds()
	back, ok := secondsDuration(seconds)
	return seconds, ok && back == d
}

// secondsDuration rounds seconds to nanoseconds. ok is false if they are more
// than a Duration holds, 292 years.
func secondsDuration(seconds float64) (_ time.Duration, ok bool) {
	whole, fraction := math.Modf(seconds)
	if !(math.Abs(whole) <= math.MaxInt64/1e9) { // also NaN
		return 0, false
	}
	d := time.Duration(whole) * time.Second
	ns := time.Duration(math.Round(fraction * 1e9))
	if sum := d + ns; (sum > d) == (ns > 0) {
		return sum, true
	}
	return 0, false
}
