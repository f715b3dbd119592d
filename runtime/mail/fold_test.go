package mail

import (
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"user 17 not found", "user 18 not found", "user 1234567 not found"},
		{"no row with id 0198c2f4-7f3a-7def-9abc-0123456789ab", "no row with id deadbeef-dead-beef-dead-beefdeadbeef"},
		{"at 0x7ffd01", "at 0x12"},
		{"commit 9fceb02 is gone", "commit 0a1b2c3 is gone"},
		{`open "a.txt": no such file`, `open "a \" b": no such file`, `open "": no such file`},
		{"can't find 'ada'", "can't find 'bob'"},
		{"dial tcp 10.0.0.1:5432: connection refused", "dial tcp 192.168.17.250:80: connection refused"},
		{"due 2026-01-02T15:04:05Z", "due 2025-11-12T05:14:55Z"},
		{"token a8Zk3Qp9 is bad", "token 99aaZZ1 is bad"},
		{"table users17 is locked", "table users3 is locked"},
		{"naïve überlauf 17", "naïve überlauf 4"},
	} {
		for _, text := range same[1:] {
			if a, b := fold(same[0]), fold(text); a != b {
				t.Errorf("%q and %q differ: %q, %q", same[0], text, a, b)
			}
		}
	}
	for _, different := range [][2]string{
		{"user not found", "order not found"},
		{"user 17 not found", "user 17 is locked"},
		{`field "name" is missing`, `field "name" is too long`},
		{"it's broken", "it isn't broken"},
		{"", "x"},
	} {
		if a, b := fold(different[0]), fold(different[1]); a == b {
			t.Errorf("%q and %q are one: %q", different[0], different[1], a)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, text := range []string{"", "'", `"\`, "user 17", "0198c2f4-7f3a-7def-9abc-0123456789ab", "`a` 1.2.3", "\xff9\xfe", "é1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		folded := fold(text)
		if len(folded) > len(text) {
			t.Errorf("%q became longer: %q", text, folded)
		}
		if strings.ContainsAny(folded, "0123456789") {
			t.Errorf("%q still has a number: %q", text, folded)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	text := strings.Repeat(`user 17 "ada" of 0198c2f4-7f3a-7def-9abc-0123456789ab not found, `, 8)[:maxError]
	for b.Loop() {
		fold(text)
	}
}
