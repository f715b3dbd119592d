package task

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	v := newRevocations(time.Now)
	s, err := openStateFile(path, v)
	if err != nil {
		t.Fatal(err)
	}
	v.add(Revocation{ID: "old", Time: time.Now().Add(-revokedFor)}, Revocation{ID: "one"}, Revocation{ID: "with space"})
	if err := s.write(); err != nil {
		t.Fatal(err)
	}
	again := newRevocations(time.Now)
	if _, err := openStateFile(path, again); err != nil {
		t.Fatal(err)
	}
	if got := again.list(); len(got) != 2 || got[0].ID != "one" || got[1].ID != "with space" {
		t.Errorf("read again: %v", got)
	}
	for _, text := range []string{"", "something else\n", stateHead + "\nx y\n", stateHead + "\n1 \n", stateHead + "\n1 a\x01b\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openStateFile(path, again); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := openStateFile(filepath.Join(path, "nosuch", "state"), again); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

func FuzzStateFile(f *testing.F) {
	f.Add([]byte(stateHead + "\n1795344928 03475315-aa3c-448c-89bb-25547ea080c0\n"))
	f.Add([]byte(stateHead + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readState(bytes.NewReader(data))
		if err != nil {
			return
		}
		text := stateHead + "\n"
		for _, r := range all {
			text += fmt.Sprintf("%d %s\n", r.Time.Unix(), r.ID)
		}
		again, err := readState(strings.NewReader(text))
		if err != nil || len(again) != len(all) {
			t.Errorf("what was read can't be written and read again: %v", err)
		}
	})
}

func TestRevocationsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newRevocations(time.Now)
		r := &request{id: "first", message: &Message{}}
		if v.has(r) {
			t.Error("revoked before anything was")
		}
		v.add(Revocation{ID: "first"})
		time.Sleep(revokedFor - time.Second)
		if !v.has(r) {
			t.Error("forgotten too early")
		}
		// Heard of once more from another worker, it is not remembered for longer.
		v.add(Revocation{ID: "first"})
		time.Sleep(time.Second)
		if v.has(r) || len(v.list()) != 0 {
			t.Error("still remembered")
		}
		var all []Revocation
		for i := range maxRevoked + 10 {
			all = append(all, Revocation{ID: fmt.Sprint(i)})
		}
		v.add(all...)
		if got := v.list(); len(got) != maxRevoked || got[0].ID != "10" {
			t.Errorf("%d remembered, the first is %s", len(got), got[0].ID)
		}
	})
}
