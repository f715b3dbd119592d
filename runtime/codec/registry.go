package codec

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// registry is replaced as a whole by Register, so that readers need no lock.
type registry struct {
	byName, byContentType map[string]Serializer
}

var (
	registered atomic.Pointer[registry]
	registerMu sync.Mutex
)

func init() {
	r := &registry{map[string]Serializer{}, map[string]Serializer{}}
	for _, s := range []Serializer{newMsgpack(), newJSON(), newYAML(), newGob()} {
		r.byName[s.Name()], r.byContentType[s.ContentType()] = s, s
	}
	registered.Store(r)
}

// Register adds a serializer, usually one of [NewSerializer], for tasks that
// name it in `//task:serializer`. Every process that sends or runs such a task
// has to register it, before the first call. It fails if the name is not made
// of lower-case letters, digits, '-' and '_', if the content type is not one
// such as "application/x-name", or if either is taken.
func Register(s Serializer) error {
	if s == nil {
		return errors.New("register serializer: it is nil")
	}
	name, contentType := s.Name(), s.ContentType()
	if err := checkNames(name, contentType); err != nil {
		return fmt.Errorf("register serializer %q: %w", name, err)
	}
	registerMu.Lock()
	defer registerMu.Unlock()
	old := registered.Load()
	if _, taken := old.byName[name]; taken {
		return fmt.Errorf("register serializer %q: the name is taken", name)
	}
	if other, taken := old.byContentType[contentType]; taken {
		return fmt.Errorf("register serializer %q: the content type %s belongs to %q", name, contentType, other.Name())
	}
	r := &registry{maps.Clone(old.byName), maps.Clone(old.byContentType)}
	r.byName[name], r.byContentType[contentType] = s, s
	registered.Store(r)
	return nil
}

func checkNames(name, contentType string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	if name == "" || strings.Trim(name, allowed) != "" {
		return errors.New("the name must be made of lower-case letters, digits, '-' and '_'")
	}
	if t, _, err := mime.ParseMediaType(contentType); err != nil || t != contentType || !strings.Contains(t, "/") {
		return fmt.Errorf("the content type %q is not one such as \"application/x-%s\"", contentType, name)
	}
	return nil
}

// ByName finds a serializer by its name.
func ByName(name string) (Serializer, bool) {
	s, ok := registered.Load().byName[name]
	return s, ok
}

// ByContentType finds a serializer by the content type of a message. Content
// types are compared exactly, as Celery does.
func ByContentType(contentType string) (Serializer, bool) {
	s, ok := registered.Load().byContentType[contentType]
	return s, ok
}

// Names returns the names of all serializers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(registered.Load().byName)) }
