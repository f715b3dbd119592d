package task

// keyMemory remembers at least the last rememberedKeys keys, and at most twice as many.
type keyMemory struct {
	young, old *keySet
}

const rememberedKeys = 1 << 15

// keySet is a table with twice as many places as it takes keys, each in the first free place from the one that it asks for. It has its full size from the
// start: so a worker needs no more memory the longer it runs, and the collector finds nothing to look at.
type keySet struct {
	size   int
	places [2 * rememberedKeys]uint64 // one half of the key, found by the other; 0: free
}

// place is where a key is, or belongs.
func (s *keySet) place(key copyKey) *uint64 {
	for i := key[0]; ; i++ {
		p := &s.places[i%uint64(len(s.places))]
		if *p == key.mark() || *p == 0 {
			return p
		}
	}
}

// mark is what is kept of a key.
func (k copyKey) mark() uint64 { return max(k[1], 1) }

func (s *keySet) has(key copyKey) bool { return s != nil && *s.place(key) != 0 }

func (m *keyMemory) add(key copyKey) {
	switch {
	case m.young == nil:
		m.young = new(keySet)
	case m.young.size >= rememberedKeys:
		if m.old == nil {
			m.old = new(keySet)
		}
		m.old, m.young = m.young, m.old
		*m.young = keySet{}
	}
	if p := m.young.place(key); *p == 0 {
		*p = key.mark()
		m.young.size++
	}
}

func (m *keyMemory) has(key copyKey) bool { return m.young.has(key) || m.old.has(key) }
