package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/taskgen/taskgen/internal/gen"
)

// The exit codes.
const (
	done   = 0
	failed = 1
	misuse = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is a command line, taken apart.
type command struct {
	name                 string // "", worker or python
	check, help, version bool
	tags, output         string
	packages             []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "taskgen: %v\nusage: taskgen [worker|python] [-check] [-tags a,b] [-o path] [packages]; taskgen -h shows the manual\n", err)
		return misuse
	}
	switch {
	case c.help:
		manual(stdout)
		return done
	case c.version:
		version(stdout)
		return done
	}
	if err := c.generate(ctx, stdout, stderr); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(stderr, "taskgen:", err)
		}
		return failed
	}
	return done
}

// parse takes flags before, between and after the other arguments.
func parse(args []string) (*command, error) {
	c := &command{}
	flags := flag.NewFlagSet("taskgen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.check, "check", false, "")
	flags.StringVar(&c.tags, "tags", "", "")
	flags.StringVar(&c.output, "o", "", "")
	flags.BoolVar(&c.version, "version", false, "")
	flags.BoolVar(&c.help, "h", false, "")
	flags.BoolVar(&c.help, "help", false, "")
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		c.packages = append(c.packages, flags.Arg(0))
		args = flags.Args()[1:]
	}
	if len(c.packages) > 0 && (c.packages[0] == "worker" || c.packages[0] == "python") {
		c.name, c.packages = c.packages[0], c.packages[1:]
		if len(c.packages) == 0 {
			c.packages = []string{"./..."}
		}
	}
	return c, c.checkOutput()
}

// checkOutput says whether -o fits the command.
func (c *command) checkOutput() error {
	switch {
	case c.name == "" && c.output != "":
		return errors.New("-o is for taskgen worker and taskgen python: each package's tasks_gen.go has its place in the package")
	case c.name == "worker" && c.output == "":
		c.output = filepath.Join("cmd", "worker")
	case c.name == "python" && c.output == "" && !c.help && !c.version:
		return errors.New("taskgen python needs -o: the module's file, such as -o tasks.py, or - for standard output")
	case c.name == "python" && c.output == "-" && c.check:
		return errors.New("-check compares with a file: name it with -o")
	}
	return nil
}

// errReported is an error that stderr tells of already.
var errReported = errors.New("reported")

// generate runs the generator, and writes its files or shows what they would change.
func (c *command) generate(ctx context.Context, stdout, stderr io.Writer) error {
	config := gen.Config{Patterns: c.packages, Tags: strings.FieldsFunc(c.tags, func(r rune) bool { return r == ',' || r == ' ' })}
	if !c.check {
		// -check is there to find out what is wrong, also with the cache.
		config.Cache = cacheDir()
	}
	var out gen.Output
	var err error
	toStdout := c.name == "python" && c.output == "-"
	switch {
	case c.name == "worker":
		out, err = gen.Worker(ctx, config, c.output)
	case toStdout:
		out, err = gen.Python(ctx, config, "tasks.py")
	case c.name == "python":
		out, err = gen.Python(ctx, config, c.output)
	default:
		out, err = gen.Generate(ctx, config)
	}
	if err != nil {
		return err
	}
	fmt.Fprint(stderr, out.Diagnostics.Format(out.Dir))
	if out.Diagnostics.HasErrors() {
		return errReported
	}
	if toStdout {
		_, err := stdout.Write(out.Files[0].Content)
		return err
	}
	if !c.check {
		return gen.Commit(out)
	}
	diff, err := gen.Diff(out)
	if err != nil {
		return err
	}
	if len(diff) > 0 {
		_, _ = stdout.Write(diff)
		if c.name == "python" {
			return errors.New("the Python module is stale: run this command without -check")
		}
		return errors.New("generated files are stale: run go generate ./...")
	}
	return nil
}

// cacheDir is where to remember what is up to date, "" if there is no such place.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "taskgen")
}
