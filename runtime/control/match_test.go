package control

import "testing"

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		worker, pattern, matcher string
		want                     bool
	}{
		{"w1@box", "w1@box", "glob", true},
		{"w1@box", "w*", "glob", true},
		{"w1@box", "*@bo", "glob", false},
		{"w1@box", "w?@box", "glob", true},
		{"w1@box", "w[0-9]@box", "glob", true},
		{"w1@box", "w[!0-9]@box", "glob", false},
		{"w-@box", "w[]-]@box", "glob", true},
		{"w[@box", "w[@box", "glob", true},
		{"w.@box", "w.@box", "glob", true},
		{"w1@box", "w.@box", "glob", false},
		{"w1@box", "w.", "pcre", true},
		{"w1@box", "1", "pcre", false},
		{"w1@box", "x|w", "pcre", true},
		{"w1@box", "(", "pcre", false},
		{"w1@box", "w*", "nosuch", false},
	} {
		if got := matches(test.worker, test.pattern, test.matcher); got != test.want {
			t.Errorf("%s %s %s: %v", test.worker, test.matcher, test.pattern, got)
		}
	}
}
