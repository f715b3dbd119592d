package task

import "testing"

// What was added last is remembered, also if many keys ask for the same place, and what is long gone isn't.
func TestKeyMemory(t *testing.T) {
	t.Parallel()
	var m keyMemory
	key := func(i int) copyKey { return copyKey{uint64(i) / 3 * 0x9e3779b97f4a7c15, uint64(i) + 1} }
	if m.has(key(0)) {
		t.Fatal("a key is remembered that was never added")
	}
	const all = 5*rememberedKeys + 7
	for i := range all {
		m.add(key(i))
		m.add(key(i))
		for _, back := range []int{0, 1, rememberedKeys - 1} {
			if i >= back && !m.has(key(i-back)) {
				t.Fatalf("key %d is forgotten after %d more", i-back, back)
			}
		}
		if i >= 2*rememberedKeys && m.has(key(i-2*rememberedKeys)) {
			t.Fatalf("key %d is still remembered after %d more", i-2*rememberedKeys, 2*rememberedKeys)
		}
		if m.has(key(i + 1)) {
			t.Fatalf("key %d is remembered before it was added", i+1)
		}
	}
}
