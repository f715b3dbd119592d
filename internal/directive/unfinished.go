package directive

import (
	"go/ast"
	"regexp"
	"strings"
)

// lone matches a directive that ends where its colon should be: group 1 is the space that gofmt
// puts behind the slashes of what it takes for prose, 2 the key, if there is one, 3 the rest.
var lone = regexp.MustCompile(`^//( ?)task(?:[ \t]+([a-z_]+)([ \t].*)?)?[ \t\r]*$`)

// unfinished returns an error for a line of a function's doc comment that says //task, or //task KEY, and nil for prose.
func unfinished(group *ast.CommentGroup, i int) error {
	comment := group.List[i]
	m := lone.FindStringSubmatch(comment.Text)
	if m == nil {
		return nil
	}
	space, key := m[1], lookup(m[2])
	switch {
	case m[2] != "" && (key == nil || space != ""):
		return nil
	case key != nil:
		return &SyntaxError{comment.Slash, "a directive has a colon behind task: write " + fixed(key, m[3])}
	case space != "" && !apart(group, i):
		return nil // a sentence may be broken there
	}
	return &SyntaxError{comment.Slash, comment.Text + " is no directive: write //task:define, or another key behind the colon"}
}

// apart says whether a line is the last of a doc comment, and not the end of a sentence.
func apart(group *ast.CommentGroup, i int) bool {
	if i+1 < len(group.List) {
		return false
	}
	return i == 0 || strings.ContainsAny(group.List[i-1].Text[len(group.List[i-1].Text)-1:], "/.:;!?")
}
