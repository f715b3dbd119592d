package cache

import (
	"errors"
	"io"
	"os"
	"regexp"
)

// Executable identifies the content of the running program.
func Executable() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, headSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	if m := buildID.FindSubmatch(head[:n]); m != nil {
		return string(m[1]) + string(m[2]), nil
	}
	// Linked without an id: hash it all.
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return Sum(data), nil
}

// headSize is where the go command looks for the id too.
const headSize = 32 << 10

// buildID matches the id that the linker writes, whose last part is a hash of
// the whole file: as an ELF note, or else as text.
var buildID = regexp.MustCompile(`(?s)\x04\x00\x00\x00Go\x00\x00([\w-]+/[\w/-]+/[\w-]+)|Go build ID: "([\w-]+/[\w/-]+/[\w-]+)"`)
