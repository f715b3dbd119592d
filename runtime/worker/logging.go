package worker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/pflag"
)

// logFlags say what is logged, where and how.
type logFlags struct{ level, file, format string }

func (f *logFlags) register(flags *pflag.FlagSet) {
	flags.StringVarP(&f.level, "loglevel", "l", "info", "log from `LEVEL` on: debug, info, warn or error")
	flags.StringVarP(&f.file, "logfile", "f", "", "append the log to `FILE`, not to standard error; SIGHUP opens it anew")
	flags.StringVar(&f.format, "logformat", "text", "`FORMAT` of the log: text or json")
}

// logging is the worker's log.
type logging struct {
	*slog.Logger
	level slog.Level
	// forPeople says that it goes to standard error as text. Otherwise people look at
	// standard error for other things, or nobody does.
	forPeople bool
	// text says that standard error takes text.
	text bool
	file *logFile // nil: standard error
}

// open opens the log. Each record is one line, whatever is in it.
func (f *logFlags) open(stderr io.Writer) (*logging, error) {
	l := &logging{}
	level := strings.ToLower(f.level)
	if level == "warning" {
		level = "warn"
	}
	if err := l.level.UnmarshalText([]byte(level)); err != nil {
		return nil, misuse("-loglevel %q: there are debug, info, warn and error", f.level)
	}
	if f.format != "text" && f.format != "json" {
		return nil, misuse("-logformat %q: there are text and json", f.format)
	}
	out := stderr
	if f.file != "" {
		var err error
		if l.file, err = openLogFile(f.file); err != nil {
			if e, ok := errors.AsType[*fs.PathError](err); ok {
				err = e.Err
			}
			return nil, fmt.Errorf("-logfile %s: %w", f.file, err)
		}
		out = l.file
	}
	options := &slog.HandlerOptions{Level: l.level}
	l.text = f.format == "text" || f.file != ""
	l.forPeople = f.format == "text" && f.file == ""
	if f.format == "json" {
		options.ReplaceAttr = durationAsText
		l.Logger = slog.New(slog.NewJSONHandler(escaper{out}, options))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(escaper{out}, options))
	}
	return l, nil
}

// durationAsText keeps a number of nanoseconds from being taken for one of seconds.
func durationAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// escaper escapes what the handlers let through: the one for JSON, a change of the reading direction, the one for
// text a delete character.
type escaper struct{ io.Writer }

func (e escaper) Write(record []byte) (int, error) {
	if _, err := io.WriteString(e.Writer, printable(string(record))); err != nil {
		return 0, err
	}
	return len(record), nil
}

// close closes the log file.
func (l *logging) close() {
	if l.file != nil {
		l.file.close()
	}
}

// logFile is a file that can be moved away under the writer, for logrotate.
type logFile struct {
	path   string
	hangup chan os.Signal

	mu   sync.Mutex
	file *os.File
}

func openLogFile(path string) (*logFile, error) {
	l := &logFile{path: path, hangup: make(chan os.Signal, 1)}
	if err := l.reopen(); err != nil {
		return nil, err
	}
	signal.Notify(l.hangup, syscall.SIGHUP)
	go func() {
		for range l.hangup {
			if err := l.reopen(); err != nil {
				// The old file is still open, and the best place to say so.
				slog.New(slog.NewTextHandler(l, nil)).Error("the log file can't be opened anew", "error", err)
			}
		}
	}()
	return l, nil
}

// reopen opens the file at path. It is for its owner's eyes: tasks may log anything.
func (l *logFile) reopen() error {
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file = file
	return nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(b)
}

func (l *logFile) close() {
	signal.Stop(l.hangup)
	close(l.hangup)
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close()
}
