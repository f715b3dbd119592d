package worker

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagNames(t *testing.T) {
	t.Parallel()
	names := newFlagNames(newShell(t).command())
	for line, want := range map[string]string{
		"":                                "",
		"-broker amqp://host/":            "--broker amqp://host/",
		"-broker=amqp://host/":            "--broker=amqp://host/",
		"--broker amqp://host/":           "--broker amqp://host/",
		"--broker=x -c 4":                 "--broker=x -c 4",
		"-c 4":                            "-c 4",
		"-c=4":                            "-c=4",
		"-c4":                             "-c4",
		"-concurrency 4":                  "--concurrency 4",
		"-Q mail=2,default=8":             "-Q mail=2,default=8",
		"-Qmail=2":                        "-Qmail=2",
		"-queues mail=2 -queues x":        "--queues mail=2 --queues x",
		"-l debug":                        "-l debug",
		"-ldebug":                         "-ldebug",
		"-loglevel debug":                 "--loglevel debug",
		"-drain 0s -hostname a@%h":        "--drain 0s --hostname a@%h",
		"list -json":                      "list --json",
		"purge -y":                        "purge -y",
		"purge -yes mail":                 "purge --yes mail",
		"call name -":                     "call name -",
		"call -no-wait name [-1]":         "call --no-wait name [-1]",
		"call name -timeout 3s -in=1s":    "call name --timeout 3s --in=1s",
		"-h":                              "-h",
		"-help":                           "--help",
		"-nonsense":                       "--nonsense",
		"-x":                              "-x",
		"-logfile -json -f -json":         "--logfile -json -f -json",
		"-f":                              "-f",
		"-broker":                         "--broker",
		"-hostname=-json":                 "--hostname=-json",
		"call -- name -timeout":           "call -- name -timeout",
		"-broker -- -json":                "--broker -- --json",
		"purge -yc 4 -json":               "purge -yc 4 --json",
		"--hostname -broker -broker":      "--hostname -broker --broker",
		"- -- -":                          "- -- -",
		"-= -=x --":                       "-= -=x --",
		"call users.echo -queue mail -in": "call users.echo --queue mail --in",
	} {
		if got := strings.Join(names.normalize(strings.Fields(line)), " "); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", line, got, want)
		}
	}
}

// Arguments gain at most a dash, keep their order, and are as they are to be the first time.
func FuzzFlagNames(f *testing.F) {
	names := newFlagNames((&program{name: "worker", registry: testTasks()}).command())
	for _, seed := range []string{"-broker\nx", "-c=4\n-json", "--\n-json", "-yc\n4", "-=\n\n-", "-é\n-\xff", "--broker\n-broker\n-broker"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "\n")
		once := names.normalize(slices.Clone(args))
		if len(once) != len(args) {
			t.Fatalf("%q became %q", args, once)
		}
		for i := range args {
			if once[i] != args[i] && once[i] != "-"+args[i] {
				t.Errorf("%q became %q", args[i], once[i])
			}
		}
		if twice := names.normalize(slices.Clone(once)); !slices.Equal(once, twice) {
			t.Errorf("%q became %q, and that %q", args, once, twice)
		}
	})
}
