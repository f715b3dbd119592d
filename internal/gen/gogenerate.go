package gen

import (
	"go/build"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// generate is the command that makes this file again from its own directory.
func (w *workerCommand) generate(config Config) string {
	args := []string{"taskgen", "worker", "-o", "."}
	if w.tool {
		args = slices.Insert(args, 0, "go", "tool")
	}
	if len(config.Tags) > 0 {
		args = append(args, "-tags", strings.Join(config.Tags, ","))
	}
	if len(config.Link) > 0 {
		args = append(args, "-link", strings.Join(config.Link, ","))
	}
	for _, pattern := range config.Patterns {
		args = append(args, w.fromHere(config.Dir, pattern))
	}
	for i, arg := range args {
		// The go command expands variables and splits at spaces.
		arg = strings.ReplaceAll(arg, "$", "${DOLLAR}")
		if strings.ContainsAny(arg, " \t\"\\") || !strconv.CanBackquote(arg) {
			arg = strconv.Quote(arg)
		}
		args[i] = arg
	}
	return strings.Join(args, " ")
}

// fromHere is a pattern of directories as seen from the worker's own. Import
// paths are the same everywhere.
func (w *workerCommand) fromHere(dir, pattern string) string {
	if !filepath.IsAbs(pattern) && !build.IsLocalImport(pattern) {
		return pattern
	}
	abs := pattern
	if !filepath.IsAbs(abs) {
		base, err := filepath.Abs(dir)
		if err != nil {
			return pattern
		}
		abs = filepath.Join(base, pattern)
	}
	rel, err := filepath.Rel(w.dir, abs)
	if err != nil {
		return pattern
	}
	if rel = filepath.ToSlash(rel); !build.IsLocalImport(rel) {
		rel = "./" + rel
	}
	return rel
}
