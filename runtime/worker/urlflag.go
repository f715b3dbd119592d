package worker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// urlFlag is a URL that may have a password in it: on the command line, in a file, or in the environment.
type urlFlag struct {
	name, variable string
	given, file    string
	options        []*urlOption
	// results is where the results are, of the flag for the broker.
	results *urlFlag
}

// urlOption is an option of a RabbitMQ URL that has a flag of its own.
type urlOption struct {
	flag, name, value string
	values            []string
}

// option adds a flag for an option of a RabbitMQ URL.
func (f *urlFlag) option(flags *pflag.FlagSet, flag, name, usage string, values ...string) {
	o := &urlOption{flag: flag, name: name, values: values}
	flags.StringVar(&o.value, flag, "", usage)
	f.options = append(f.options, o)
}

func (f *urlFlag) register(flags *pflag.FlagSet, usage, fallback string) {
	flags.StringVar(&f.given, f.name, "", usage+" (default $"+f.variable+fallback+")")
	flags.StringVar(&f.file, f.name+"-file", "", "read that URL from `FILE`, such as a mounted secret (default $"+f.fileVariable()+")")
}

func (f *urlFlag) fileVariable() string { return f.variable + "_FILE" }

// isGiven says whether the command line names it.
func (f *urlFlag) isGiven() bool { return f.given != "" || f.file != "" }

// value is the URL with the options that have flags; "" if there is none.
func (f *urlFlag) value() (string, error) {
	url, err := f.plain()
	if err != nil {
		return "", err
	}
	for _, o := range f.options {
		if o.value == "" {
			continue
		}
		if !slices.Contains(o.values, o.value) {
			return "", misuse("-%s %q: want %s", o.flag, o.value, strings.Join(o.values, ", or "))
		}
		if !strings.HasPrefix(url, "amqp://") && !strings.HasPrefix(url, "amqps://") {
			return "", misuse("-%s is for RabbitMQ (amqp://…); the embedded broker makes what it needs", o.flag)
		}
		separator := "?"
		if strings.Contains(url, "?") {
			separator = "&"
		}
		url += separator + o.name + "=" + o.value
	}
	return url, nil
}

func (f *urlFlag) plain() (string, error) {
	switch {
	case f.given != "" && f.file != "":
		return "", misuse("-%s and -%s-file are both given: want one of them", f.name, f.name)
	case f.given != "":
		return f.given, nil
	case f.file != "":
		return readURL(f.file, "-"+f.name+"-file")
	}
	url, file := os.Getenv(f.variable), os.Getenv(f.fileVariable())
	switch {
	case url != "" && file != "":
		return "", misuse("%s and %s are both set: want one of them", f.variable, f.fileVariable())
	case file != "":
		return readURL(file, f.fileVariable())
	}
	return url, nil
}

// maxURL is how long a URL in a file may be, in bytes.
const maxURL = 16 << 10

// readURL reads a URL from a file, for the flag or variable that names it. No error has anything of what is in it.
func readURL(path, whose string) (string, error) {
	text, err := readShort(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the path is named below
	}
	url := strings.TrimRight(text, "\r\n")
	switch {
	case err != nil:
	case url == "":
		err = errors.New("the file is empty")
	case strings.ContainsFunc(url, func(r rune) bool { return r < ' ' }):
		err = errors.New("the file has more than one line, or control characters: want a URL and nothing else")
	default:
		return url, nil
	}
	return "", fmt.Errorf("%s %s: %w", whose, path, err)
}

func readShort(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // whoever runs the worker says which file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxURL+1))
	if err == nil && len(text) > maxURL {
		err = fmt.Errorf("the file has more than %d bytes: want a URL and nothing else", maxURL)
	}
	return string(text), err
}
