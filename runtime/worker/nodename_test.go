package worker

import (
	"errors"
	"strings"
	"testing"
)

func TestNodeName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ format, host, want string }{
		{"worker@%h", "george.example.com", "worker@george.example.com"},
		{"w1@%n", "george.example.com", "w1@george"},
		{"w1.%d@%n", "george.example.com", "w1.example.com@george"},
		{"%n@%h", "george", "george@george"},
		{"mail@", "george", "mail@george"},
		{"@%h", "george", "worker@george"},
		{"%d", "george", "worker@george"},
		{"box7", "george", "worker@box7"},
		{"", "george", "worker@george"},
		{"100%%@%h", "george", "100%@george"},
	} {
		if got, err := nodeName(test.format, test.host); got != test.want || err != nil {
			t.Errorf("nodeName(%q, %q) = %q, %v; want %q", test.format, test.host, got, err, test.want)
		}
	}
	for format, want := range map[string]string{
		"a@%x":                         "no %x",
		"a@%":                          "%% is a percent sign",
		"a b@%h":                       "visible",
		"a\n@%h":                       "visible",
		strings.Repeat("a", 255) + "@": "255",
	} {
		if _, err := nodeName(format, "george"); !errors.As(err, new(*usageError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("nodeName(%q): %v; want %q in it", format, err, want)
		}
	}
}
