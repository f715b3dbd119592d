package worker

import (
	"strings"
	"testing"
)

func TestURLArguments(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"worker -broker amqp://u:s3cret@host/v":         "worker -broker amqp://***************",
		"worker -broker=amqps://u:s3cret@host":          "worker -broker=amqps://*************",
		"worker --mail smtps://u:s3cret@host":           "worker --mail smtps://*************",
		"worker run --broker=u:s3cret@host":             "worker run --broker=*************",
		"worker -broker amqp:/u:s3cret@host -c 4":       "worker -broker ******************* -c 4",
		"worker -broker -amqp://u:s3cret@host":          "worker -broker *********************",
		"worker u:s3cret@host":                          "worker *************",
		"worker -mail-to a@x,b@x -c 4":                  "worker -mail-to a@x,b@x -c 4",
		"worker amqp://u:s3=cret@host":                  "worker amqp://**************",
		"worker -xamqp://u:s3=cret@host":                "worker ***********************",
		"worker -broker amqp://host -mail smtp://u:s@h": "worker -broker amqp://host -mail smtp://*****",
		"worker -broker sqlite:data -c 4 -Q mail=2":     "worker -broker sqlite:data -c 4 -Q mail=2",
		"worker -http-allow https://api.example.com":    "worker -http-allow https://api.example.com",
		"worker -broker":                                "worker -broker",
	} {
		args := strings.Fields(line)
		shown := strings.Fields(line)
		for _, a := range urlArguments(args) {
			shown[a.index] = shown[a.index][:a.start] + strings.Repeat("*", len(shown[a.index])-a.start)
		}
		if got := strings.Join(shown, " "); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", line, got, want)
		}
	}
}

// Wherever a URL has strayed to on the command line, errors don't quote its password.
func TestMisuseHidesPasswords(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"amqp://u:s3cret@host"},
		{"u:s3cret@host"},
		{"-c", "amqp:/u:s3cret@host"},
		{"run", "amqp://u:s3 \"cret@host"},
		{"list", "-borker", "amqp://u:s3cret@host"},
		{"-c", "amqp://u:s3cret@host"},
		{"-c=amqp://u:s3cret@host:5%"},
		{"-xamqp://u:s3cret@host"},
		{"-broker", "u:s3cret@host"},
		{"-broker=amqp://u:s3cret@host:56x2", "ping"},
		{"-health", "http://u:s3cret@host"},
		{"-loglevel", "amqp://u:s3cret@host"},
	} {
		s := newShell(t)
		if code := s.run(args...); code == succeeded || strings.Contains(s.err.String()+s.out.String(), "cret") {
			t.Errorf("worker %s: exit code %d\n%s%s", args, code, s.out.String(), &s.err)
		}
	}
}
