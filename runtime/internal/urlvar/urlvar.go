// Package urlvar reads URLs that may have passwords in them: from the environment, and from files such as mounted secrets.
package urlvar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// The variables of the broker's URL, and of that of the store of results.
const (
	Broker  = "TASKGEN_BROKER"
	Results = "TASKGEN_RESULTS"
)

// File is the variable that names a file with the URL.
func File(variable string) string { return variable + "_FILE" }

// Get is the URL in a variable, or in the file that its other variable names; "" if neither is set.
func Get(variable string) (string, error) {
	url, file := os.Getenv(variable), os.Getenv(File(variable))
	switch {
	case url != "" && file != "":
		return "", fmt.Errorf("%s and %s are both set: want one of them", variable, File(variable))
	case file != "":
		return Read(file, File(variable))
	}
	return url, nil
}

// longest is how long a URL in a file may be, in bytes.
const longest = 16 << 10

// Read reads a URL from a file, for the flag or variable that names it. No error has anything of what is in it.
func Read(path, whose string) (string, error) {
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
	file, err := os.Open(path) //nolint:gosec // whoever runs the program says which file
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, longest+1))
	if err == nil && len(text) > longest {
		err = fmt.Errorf("the file has more than %d bytes: want a URL and nothing else", longest)
	}
	return string(text), err
}
