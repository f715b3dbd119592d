package sqlite

import (
	"encoding/hex"
	"hash/fnv"
)

// A taskID is a task's id. In the database a UUID in its usual spelling takes
// 16 bytes as a blob, any other id is text, and none is NULL, so that no two of
// them can be taken for each other.
type taskID string

const uuidLength = len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// column returns the id as it is stored.
func (id taskID) column() any {
	if id == "" {
		return nil
	}
	if b, ok := id.uuid(); ok {
		return b[:]
	}
	return string(id)
}

// uuid returns the 16 bytes of an id that is a UUID in lower case.
func (id taskID) uuid() (b [16]byte, ok bool) {
	if len(id) != uuidLength || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return b, false
	}
	at := 0
	for i := 0; i < len(id); {
		if id[i] == '-' {
			i++
			continue
		}
		hi, ok1 := nibble(id[i])
		lo, ok2 := nibble(id[i+1])
		if !ok1 || !ok2 {
			return b, false
		}
		b[at] = hi<<4 | lo
		at++
		i += 2
	}
	return b, true
}

func nibble(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

func taskIDFromBlob(b []byte) taskID {
	if len(b) != 16 {
		return taskID(b)
	}
	var s [uuidLength]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return taskID(s[:])
}

// hash is what a doorbell ring says of the id: enough to find who waits for it.
func (id taskID) hash() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return h.Sum32()
}
