package load

import (
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// environment is what the go command would go by.
type environment struct {
	vars []string
	tags []string          // of the -tags flag; nil if it was not given
	file map[string]string // of `go env -w`
}

func newEnvironment(vars, tags []string) *environment {
	if vars == nil {
		vars = os.Environ()
	}
	e := &environment{vars: vars, tags: tags, file: map[string]string{}}
	path := e.own("GOENV")
	if path == "off" {
		return e
	}
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return e
		}
		path = filepath.Join(dir, "go", "env")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return e
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			e.file[key] = value
		}
	}
	return e
}

// own returns a variable of the process.
func (e *environment) own(key string) string {
	for _, v := range slices.Backward(e.vars) { // the last one wins, as in os/exec
		if value, ok := strings.CutPrefix(v, key+"="); ok {
			return value
		}
	}
	return ""
}

func (e *environment) get(key string) string {
	if value := e.own(key); value != "" {
		return value
	}
	return e.file[key]
}

// flag returns the value of a flag in GOFLAGS.
func (e *environment) flag(name string) string {
	value := ""
	for f := range strings.FieldsSeq(e.get("GOFLAGS")) {
		if v, ok := strings.CutPrefix(strings.TrimLeft(f, "-"), name+"="); ok {
			value = v
		}
	}
	return value
}

// buildFlags are for the go command.
func (e *environment) buildFlags() []string {
	if len(e.tags) == 0 {
		return nil
	}
	return []string{"-tags=" + strings.Join(e.tags, ",")}
}

// buildContext selects files as the go command would.
func (e *environment) buildContext() build.Context {
	c := build.Default
	native := true
	if v := e.get("GOOS"); v != "" {
		native = native && v == c.GOOS
		c.GOOS = v
	}
	if v := e.get("GOARCH"); v != "" {
		native = native && v == c.GOARCH
		c.GOARCH = v
	}
	switch e.get("CGO_ENABLED") {
	case "1":
		c.CgoEnabled = true
	case "0":
		c.CgoEnabled = false
	default:
		c.CgoEnabled = c.CgoEnabled && native
	}
	c.BuildTags = e.tags
	if len(e.tags) == 0 {
		c.BuildTags = strings.FieldsFunc(e.flag("tags"), func(r rune) bool { return r == ',' })
	}
	return c
}

// identity is everything about the surroundings that the outcome may depend on,
// as text for a hash. ok is false where something hides behind it that no
// hash can see.
func (e *environment) identity() (text string, ok bool) {
	if e.get("GOPACKAGESDRIVER") != "" || e.flag("modfile") != "" || e.flag("overlay") != "" {
		return "", false
	}
	var lines []string
	for _, v := range e.vars {
		key, _, _ := strings.Cut(v, "=")
		switch key {
		case "GOFILE", "GOLINE", "GOPACKAGE", "GOPATH", "GOCACHE", "GOTMPDIR", "GOMAXPROCS", "GOTRACEBACK", "GOGC", "GOMEMLIMIT":
			continue // different at each directive, or without influence
		}
		if strings.HasPrefix(key, "GO") || strings.HasPrefix(key, "CGO_") {
			lines = append(lines, v)
		}
	}
	for key, value := range e.file {
		lines = append(lines, "env file: "+key+"="+value)
	}
	slices.Sort(lines)
	lines = append(lines, e.tags...)
	lines = append(lines, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return strings.Join(lines, "\n") + e.toolchain(), true
}

// toolchain identifies the go command on the path without running it. Which
// toolchain that one switches to is decided by go.mod and the environment.
func (e *environment) toolchain() string {
	path, err := exec.LookPath("go")
	if err != nil {
		return ""
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	version, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "..", "VERSION"))
	text := "\n" + path + "\n" + string(version)
	if info, err := os.Stat(path); err == nil {
		text += info.ModTime().UTC().String()
	}
	return text
}
