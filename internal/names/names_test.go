package names

import "testing"

func TestFresh(t *testing.T) {
	t.Parallel()
	pkg := New()
	pkg.Take("user", "user2")
	inner := pkg.Inner()
	for _, step := range []struct{ want, got string }{
		{"user", "user3"},
		{"user", "user4"},
		{"user2", "user2_2"},
		{"error", "error2"}, // predeclared
		{"func", "func2"},   // a keyword
		{"free", "free"},
		{"free", "free2"},
	} {
		if got := inner.Fresh(step.want); got != step.got {
			t.Errorf("Fresh(%q) = %q, want %q", step.want, got, step.got)
		}
	}
	if pkg.Has("free") {
		t.Error("a name of the inner scope is in the outer one")
	}
	if !inner.Has("user") {
		t.Error("a name of the outer scope is not in the inner one")
	}
}
