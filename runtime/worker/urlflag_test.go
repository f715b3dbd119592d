package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFile makes a file as a secret is mounted.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestURLFlag(t *testing.T) {
	for name, test := range map[string]struct {
		given, file, variable, fileVariable string
		want, problem                       string
	}{
		"nothing":               {},
		"flag":                  {given: "amqp://a", variable: "amqp://b", want: "amqp://a"},
		"flag and its file":     {given: "amqp://a", file: "amqp://b", problem: "-broker and -broker-file are both given"},
		"file":                  {file: "amqp://a", variable: "amqp://b", want: "amqp://a"},
		"line end":              {file: "amqp://a\n", want: "amqp://a"},
		"line end of Windows":   {file: "amqp://a\r\n", want: "amqp://a"},
		"variable":              {variable: "amqp://a", want: "amqp://a"},
		"variable of the file":  {fileVariable: "amqp://a\n", want: "amqp://a"},
		"both variables":        {variable: "amqp://a", fileVariable: "amqp://b", problem: "TASKGEN_BROKER and TASKGEN_BROKER_FILE are both set"},
		"empty file":            {file: "\n", problem: "the file is empty"},
		"two lines":             {file: "amqp://u:s3cret@a\namqp://u:s3cret@b\n", problem: "more than one line"},
		"NUL":                   {fileVariable: "amqp://u:s3cret@a\x00", problem: "control characters"},
		"something else":        {file: strings.Repeat("s3cret", 10_000), problem: "more than 16384 bytes"},
		"too long for its room": {fileVariable: strings.Repeat("s3cret", 10_000), problem: "TASKGEN_BROKER_FILE /"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &urlFlag{name: "broker", variable: brokerVariable, given: test.given}
			t.Setenv(f.variable, test.variable)
			t.Setenv(f.fileVariable(), "")
			if test.file != "" {
				f.file = writeFile(t, test.file)
			}
			if test.fileVariable != "" {
				t.Setenv(f.fileVariable(), writeFile(t, test.fileVariable))
			}
			url, err := f.value()
			if url != test.want || (err == nil) != (test.problem == "") {
				t.Fatalf("got %q, %v", url, err)
			}
			if err != nil && (!strings.Contains(err.Error(), test.problem) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A file that is not there is an error of every command, once, with its name.
func TestURLFileIsMissing(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"run -broker-file /gone/url":                                        "worker: -broker-file /gone/url: no such file or directory\n",
		"call quiet -broker-file /gone/url":                                 "worker: -broker-file /gone/url: no such file or directory\n",
		"inspect ping -broker-file /":                                       "worker: -broker-file /: is a directory\n",
		"-broker memory:x -mail-file /gone/url -mail-to a@x -mail-from a@x": "worker: -mail-file /gone/url: no such file or directory\n",
	} {
		newShell(t).want(failed, "", want, strings.Fields(line)...)
	}
}

func TestBrokerFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "sqlite:"+t.TempDir()+"\n")
	start(t, nil, "-broker-file", file)
	newShell(t).want(succeeded, "", "sent example.com/app/users.quiet to queue \"tasks\", id ID\nnot waiting: the task ignores its result\n", "call", "quiet", `["", 1]`, "-broker-file", file)
}
