package main

import (
	_ "embed"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/taskgen/taskgen/internal/directive"
)

//go:embed doc.go
var docFile string

// manual writes the package comment, and the table of directives, which exists
// only once.
func manual(w io.Writer) {
	text, _, _ := strings.Cut(strings.TrimPrefix(docFile, "/*\n"), "*/")
	fmt.Fprint(w, text, "\nDirectives:\n")
	for _, key := range directive.Keys() {
		fmt.Fprintf(w, "\n\t//task:%s\n", strings.TrimSpace(key.Name+" "+key.Value))
		for _, line := range wrap(key.Doc, 70) {
			fmt.Fprintf(w, "\t    %s\n", line)
		}
	}
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// version writes what go install or go get knows of us.
func version(w io.Writer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Fprintln(w, "taskgen (unknown version)")
		return
	}
	fmt.Fprintln(w, "taskgen", info.Main.Version, info.GoVersion)
}
