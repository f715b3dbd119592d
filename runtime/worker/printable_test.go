package worker

import "testing"

func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "",
		"plain ütf-8 👩‍👩‍👧\n\tnext": "plain ütf-8 👩‍👩‍👧\n\tnext",
		"red \x1b[31m":           `red \u001b[31m`,
		"\x00\r\x7f\u009b":       `\u0000\u000d\u007f\u009b`,
		"a\u202eb\u2066c\u200fd": `a\u202eb\u2066c\u200fd`,
		"line\u2028":             `line\u2028`,
		"\xff":                   "\xff",
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}
