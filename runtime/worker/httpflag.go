package worker

import (
	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/task"
)

// httpFlags say what the built-in task taskgen.http may ask.
type httpFlags struct {
	lists   []string
	private bool
}

func (f *httpFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.lists, "http-allow", nil, "let the task taskgen.http ask these `HOSTS`, such as\napi.example.com,*.example.org,localhost:8080 (default none)")
	flags.BoolVar(&f.private, "http-private", false, "let these hosts have addresses that are not of the public internet")
}

func (f *httpFlags) settings() *builtin.HTTP {
	return &builtin.HTTP{AllowedHosts: splitLists(f.lists), AllowPrivate: f.private}
}

func (f *httpFlags) check() error {
	if f.private && len(f.lists) == 0 {
		return misuse("-http-private needs -http-allow: which hosts?")
	}
	if err := builtin.Register(task.NewRegistry(), f.settings()); err != nil {
		return misuse("-http-allow: %w", err)
	}
	return nil
}
