package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/mod/modfile"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"taskgen": main})
}

// TestScripts runs the command as users do, in modules of their own.
func TestScripts(t *testing.T) {
	t.Parallel()
	shared := goEnv(t, "GOCACHE", "GOMODCACHE", "GOTOOLCHAIN")
	// A pattern makes Go look into modules that nothing here is built with.
	if output, err := exec.CommandContext(t.Context(), "go", "mod", "download").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "cli"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, shared...)
			env.Vars = append(env.Vars, "GOPROXY=off", "GOFLAGS=", "XDG_CACHE_HOME="+filepath.Join(env.WorkDir, ".cache"))
			return writeModule(env.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"age":    age,
			"aged":   aged,
			"mode":   mode,
			"status": status,
		},
	})
}

// goEnv is what the scripts share with us, as environment variables.
func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Split(strings.TrimSuffix(string(output), "\n"), "\n")
	for i, name := range names {
		values[i] = name + "=" + values[i]
	}
	return values
}

// writeModule makes dir a module that requires this one, as it is on disk, and
// has taskgen as a tool.
func writeModule(dir string) error {
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(repo, "go.mod"))
	if err != nil {
		return err
	}
	mod, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		return err
	}
	ours := mod.Module.Mod.Path
	for _, err := range []error{
		mod.AddModuleStmt("example.com/app"),
		mod.AddRequire(ours, "v0.0.0"),
		mod.AddReplace(ours, "", repo, ""),
		mod.AddTool(ours + "/cmd/taskgen"),
	} {
		if err != nil {
			return err
		}
	}
	if content, err = mod.Format(); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(repo, "go.sum"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), content, 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o666)
}

var longAgo = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// age FILE… makes files old.
func age(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Check(os.Chtimes(ts.MkAbs(name), longAgo, longAgo))
	}
}

// aged FILE… fails unless the files are still as old.
func aged(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if old := info.ModTime().Equal(longAgo); old == neg {
			ts.Fatalf("%s was written at %s", name, info.ModTime())
		}
	}
}

// mode PERM FILE fails unless the file has that mode.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().String(); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// status CODE COMMAND… fails unless the command exits with that code.
func status(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := &exec.ExitError{}
		ok := errors.As(err, &exit)
		if !ok {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		code = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(code) != want {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], code, want)
	}
}
