package sqlite

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// SQLite takes a broken write-ahead log for one that ends there: whatever was
// committed behind the damage would be gone without a word. The index of the log, which lies beside it until the
// database is closed, knows how much there was. The formats: https://www.sqlite.org/walformat.html.

const (
	logHeaderSize   = 32
	frameHeaderSize = 24
	indexHeaderSize = 48
)

// checkLog reads the write-ahead log of a database that was not closed, and
// compares it with its index. The caller holds the write lock, and has not opened the database yet.
func checkLog(path string) error {
	index := readLogIndex(path + "-shm")
	if index == nil {
		return nil
	}
	log := path + "-wal"
	if index.describes(log) {
		return nil
	}
	// Unless a stranger is writing just now.
	if again := readLogIndex(path + "-shm"); again == nil || *again != *index {
		return nil
	}
	return &damageError{"its write-ahead log " + log + " lacks what was committed; without " + path + "-shm it is taken as it is"}
}

// A logIndex is the header of the index: what the log must hold.
type logIndex struct {
	frames   uint32
	checksum walChecksum // of the last frame
	salt     [8]byte
	change   uint32
}

// readLogIndex returns nil if there is none that can be relied on: it was never flushed to the disk, so it
// counts only while the kernel runs that has written it.
func readLogIndex(path string) *logIndex {
	info, err := os.Stat(path)
	booted, known := bootTime()
	if err != nil || !known || info.ModTime().Before(booted) {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	var b [2 * indexHeaderSize]byte
	_, err = io.ReadFull(file, b[:])
	_ = file.Close()
	if err != nil {
		return nil
	}
	header, order := b[:indexHeaderSize], binary.NativeEndian
	const isInit, checked = 12, 40
	var sum walChecksum
	sum.add(order, header[:checked])
	if !bytes.Equal(header, b[indexHeaderSize:]) || header[isInit] == 0 || sum != readChecksum(order, header[checked:]) {
		return nil
	}
	return &logIndex{
		change:   order.Uint32(header[8:]),
		frames:   order.Uint32(header[16:]),
		checksum: readChecksum(order, header[24:]),
		salt:     [8]byte(header[32:40]),
	}
}

var errShortLog = errors.New("the log has ended")

// describes says whether the log holds all that the index knows of, or is not
// the index's log.
func (x *logIndex) describes(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 || x.frames == 0 {
		return true
	}
	log, err := os.Open(path)
	if err != nil {
		return true // SQLite says what is wrong
	}
	sum, err := x.read(bufio.NewReader(log))
	_ = log.Close()
	return err == nil && sum == x.checksum
}

// read returns the checksum of the log's last frame that the index knows of.
func (x *logIndex) read(log io.Reader) (sum walChecksum, err error) {
	var header [logHeaderSize]byte
	if _, err := io.ReadFull(log, header[:]); err != nil {
		return sum, err
	}
	const magic = 0x377f0682 // and one more for checksums in the other byte order
	var order binary.ByteOrder
	switch binary.BigEndian.Uint32(header[:]) {
	case magic:
		order = binary.LittleEndian
	case magic + 1:
		order = binary.BigEndian
	default:
		return sum, errShortLog
	}
	sum.add(order, header[:24])
	if sum != readChecksum(binary.BigEndian, header[24:]) {
		return sum, errShortLog
	}
	if [8]byte(header[16:24]) != x.salt {
		return x.checksum, nil // it has begun anew
	}
	const maxPage = 64 << 10
	page := binary.BigEndian.Uint32(header[8:])
	if page > maxPage {
		return sum, errShortLog
	}
	frame := make([]byte, frameHeaderSize+page)
	for range x.frames {
		if _, err := io.ReadFull(log, frame); err != nil {
			return sum, err
		}
		sum.add(order, frame[:8])
		sum.add(order, frame[frameHeaderSize:])
		if [8]byte(frame[8:16]) != x.salt || sum != readChecksum(binary.BigEndian, frame[16:]) {
			return sum, errShortLog
		}
	}
	return sum, nil
}

// walChecksum is the checksum that runs through a log.
type walChecksum [2]uint32

func readChecksum(order binary.ByteOrder, b []byte) walChecksum {
	return walChecksum{order.Uint32(b), order.Uint32(b[4:])}
}

// add takes in b, whose length is a multiple of 8.
func (s *walChecksum) add(order binary.ByteOrder, b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += order.Uint32(b) + s[1]
		s[1] += order.Uint32(b[4:]) + s[0]
	}
}
