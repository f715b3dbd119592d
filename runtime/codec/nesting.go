package codec

// maxDepth is how deep lists and maps may nest in a message. A writer's
// arguments begin at the third level, below the body and its kwargs.
const maxDepth = 100

// nesting knows, for writers and readers, which lists and maps are open.
type nesting struct {
	levels []level
}

type level struct {
	isMap bool
	seen  int
}

// next is called once for each value, and says whether it is a map's key.
func (n *nesting) next() (key bool) {
	if len(n.levels) == 0 {
		return false
	}
	l := &n.levels[len(n.levels)-1]
	l.seen++
	return l.isMap && l.seen&1 == 1
}

// open reports whether another list or map may be opened.
func (n *nesting) open(isMap bool) bool {
	n.levels = append(n.levels, level{isMap: isMap})
	return len(n.levels) <= maxDepth-2
}

// close reports whether something was open.
func (n *nesting) close() bool {
	if len(n.levels) == 0 {
		return false
	}
	n.levels = n.levels[:len(n.levels)-1]
	return true
}

// allowance is the memory that the elements of one message may take: Grow.
// An element of one byte can become one of hundreds, so the claims of a hostile
// message have to be bounded.
type allowance int

func (a *allowance) reset(message int) { *a = allowance(min(16<<20+16*message, mostElements)) }

// mostElements bounds the allowance of large messages, in bytes.
const mostElements = 64 << 20

func (a *allowance) spend(n int) bool {
	*a -= allowance(n)
	return *a >= 0
}
