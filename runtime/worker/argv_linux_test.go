package worker

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// What /proc shows of a running worker has no passwords; the worker itself has them.
func TestArgumentsAreHidden(t *testing.T) {
	t.Parallel()
	worker := launchChild(t, "-broker", "amqp://ada:s3cret@127.0.0.1:1/v", "-mail=smtp://ada:hunter2@127.0.0.1:1", "-mail-to", "a@x", "-mail-from", "b@x", "-c", "3")
	worker.log.await(t, "not consuming")
	shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", worker.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"-broker", "amqp://" + strings.Repeat("*", len("ada:s3cret@127.0.0.1:1/v")), "-mail=smtp://" + strings.Repeat("*", len("ada:hunter2@127.0.0.1:1")), "-mail-to", "a@x", "-mail-from", "b@x", "-c", "3", ""}
	if _, got, _ := bytes.Cut(shown, []byte{0}); string(got) != strings.Join(want, "\x00") {
		t.Errorf("/proc shows %q", shown)
	}
	for _, want := range []string{"amqp://ada@127.0.0.1:1/v", "concurrency  3"} {
		worker.log.await(t, want)
	}
}

// A program that has made up its arguments keeps them: they lie where nothing may be written.
func TestArgumentsOfTheProgramsOwn(t *testing.T) {
	before := os.Args
	defer func() { os.Args = before }()
	os.Args = []string{"worker", "-broker", "amqp://u:s3cret@host"}
	made := os.Args[2]
	hideArguments()
	runtime.KeepAlive(made)
	if os.Args[2] != "amqp://u:s3cret@host" || made != "amqp://u:s3cret@host" {
		t.Errorf("the arguments are %q", os.Args)
	}
}
