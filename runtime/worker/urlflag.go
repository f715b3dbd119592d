package worker

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/internal/urlvar"
	"github.com/taskgen/taskgen/runtime/task"
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

func (f *urlFlag) fileVariable() string { return urlvar.File(f.variable) }

// isGiven says whether the command line names it.
func (f *urlFlag) isGiven() bool { return f.given != "" || f.file != "" }

// hint says how to name another.
func (f *urlFlag) hint() string {
	return "name another with -" + f.name + " or " + f.variable
}

// asked is the broker that a command has asked, and how to name another if nobody has named this one.
func (f *urlFlag) asked(t task.Transport) string {
	if url, err := f.value(); err == nil && url == "" {
		return t.String() + " (the default; " + f.hint() + ")"
	}
	return t.String()
}

// isRabbitMQ says whether a URL is that of a RabbitMQ.
func isRabbitMQ(url string) bool {
	scheme, _, _ := strings.Cut(url, "://")
	return slices.Contains([]string{"amqp", "amqps", "pyamqp"}, scheme)
}

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
		if !isRabbitMQ(url) {
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
		return urlvar.Read(f.file, "-"+f.name+"-file")
	}
	url, err := urlvar.Get(f.variable)
	if err != nil && os.Getenv(f.variable) != "" { // both variables are set
		err = &usageError{err}
	}
	return url, err
}
