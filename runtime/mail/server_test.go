package mail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"smtp://mail.example.com":                                "smtp://mail.example.com:587",
		"smtp://mail.example.com:25/":                            "smtp://mail.example.com:25",
		"smtps://ada:s3cret@mail.example.com":                    "smtps://ada@mail.example.com:465",
		"smtp://ada%40example.com:s3%2Fcr%40et@mail.example.com": "smtp://ada%40example.com@mail.example.com:587",
		"smtp://ada@example.com:s3cret@mail.example.com":         "smtp://ada%40example.com@mail.example.com:587",
		"smtp://[::1]:2525?tls=none":                             "smtp://[::1]:2525",
		"smtp://ada:s3cret@localhost:25?tls=none":                "smtp://ada@localhost:25",
		"smtp://mail.example.com?tls=opportunistic":              "smtp://mail.example.com:587",
		"smtp://ada:s3cret@mail.example.com?tls=required":        "smtp://ada@mail.example.com:587",
	} {
		s, err := parseURL(raw)
		if err != nil || s.String() != want {
			t.Errorf("%s: got %v, %v", raw, s, err)
		}
	}
	noPEM := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"":                                          "smtp:// or smtps://",
		"mail.example.com":                          "smtp:// or smtps://",
		"http://ada:s3cret@host":                    "smtp:// or smtps://",
		"smtp://":                                   "no host",
		"smtp://ada:s3cret@":                        "no host",
		"smtp://ada:s3cret@host:0":                  "port",
		"smtp://ada:s3cret@host:smtp":               "port",
		"smtp://ada:s3/cret@host":                   "percent-encoded",
		"smtp://ada:s3?cret@host":                   "percent-encoded",
		"smtp://ada:s3#cret@host":                   "percent-encoded",
		"smtp://ada:s3%cret@host":                   "percent-encoded",
		"smtp://ada:s3cret@ho st":                   "percent-encoded",
		"smtp://ada@host":                           "both user and password",
		"smtp://ada:@host":                          "both user and password",
		"smtp://ada:s3cret%0A@host":                 "control character",
		"smtp://host/path":                          "percent-encoded",
		"smtp://ada:s3cret@host?x=s3cret":           "no such option",
		"smtp://ada:s3cret@host?tls=s3cret":         "required, opportunistic or none",
		"smtp://ada:s3cret@host?tls=none":           "without TLS",
		"smtp://ada:s3cret@host?tls=opportunistic":  "without TLS",
		"smtps://ada:s3cret@host?tls=required":      "always has TLS",
		"smtp://ada:s3cret@host?%zz":                "well-formed",
		"smtp://host?cacertfile=" + noPEM:           "no PEM certificate",
		"smtp://host?cacertfile=" + noPEM + ".gone": "no such file",
	} {
		_, err := parseURL(raw)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "cret") {
			t.Errorf("%s: got %v, want %q in it", raw, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const url = "smtp://mail.example.com"
	for _, good := range []Config{
		{URL: url, From: "tasks@example.com", To: []string{"a@example.com"}},
		{URL: url, From: "All tasks <tasks@example.com>", To: []string{"a@example.com, Bob <b@example.com>", `"Ops, night" <c@example.com>`}},
		{URL: url, From: "Müller <tasks@example.com>", To: []string{"a@localhost"}},
	} {
		s, err := New(good)
		if err != nil {
			t.Errorf("%v: %v", good, err)
			continue
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for want, bad := range map[string]Config{
		`sender's address: ""`:                  {URL: url, To: []string{"a@example.com"}},
		`sender's address: "tasks"`:             {URL: url, From: "tasks", To: []string{"a@example.com"}},
		"sender's address: want one":            {URL: url, From: "a@example.com,b@example.com", To: []string{"a@example.com"}},
		"receiver's address: there is none":     {URL: url, From: "tasks@example.com"},
		`receiver's address: "ops"`:             {URL: url, From: "tasks@example.com", To: []string{"a@example.com", "ops"}},
		`receiver's address: "a@example.com\nB`: {URL: url, From: "tasks@example.com", To: []string{"a@example.com\nBcc: b@example.com"}},
		`"müller@example.com" has characters`:   {URL: url, From: "tasks@example.com", To: []string{"müller@example.com"}},
		"URL of the mail server: the scheme":    {From: "tasks@example.com", To: []string{"a@example.com"}},
		"the interval -1ns is negative":         {URL: url, From: "tasks@example.com", To: []string{"a@example.com"}, Interval: -1},
	} {
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
