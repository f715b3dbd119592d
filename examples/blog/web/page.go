package web

import (
	"bytes"
	"embed"
	"fmt"
	"hash/crc32"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/taskgen/taskgen/examples/blog/store"
)

//go:embed templates/*.html
var templates embed.FS

func parsePages() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{
		"asset":    assetURL,
		"blocks":   blocks,
		"day":      func(t time.Time) string { return t.Format("2 January 2006") },
		"minute":   func(t time.Time) string { return t.Format("2 January 2006, 15:04") },
		"machine":  func(t time.Time) string { return t.Format(time.RFC3339) },
		"initial":  initial,
		"hue":      hue,
		"comments": countComments,
	}).ParseFS(templates, "templates/*.html")
}

// show answers with a page. It is made completely before the first byte is sent, so that a mistake in a
// template is an error and not half a page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, page, data); err != nil {
		s.logger.ErrorContext(r.Context(), "a page can't be shown", "path", r.URL.Path, "error", err)
		http.Error(w, "This page can't be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // who has left need not see it
}

// message answers with a page that says one thing.
func (s *Site) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	s.show(w, r, status, "message.html", struct{ Title, Text string }{title, text})
}

// postPage is what post.html shows.
type postPage struct {
	*store.Post
	Comments []comment
	Count    string
	Form     *form
	Limits   limits
	// Waiting says that a comment on the page has no verdict yet.
	Waiting bool
	// Rendered is when, in milliseconds: it makes the link to look again one to another page each
	// time. With #comment-1 at its end, a browser would not load the same page again.
	Rendered int64
}

// comment is a comment as one visitor sees it.
type comment struct {
	store.Comment
	// Mark and Note tell the author how far it has come, "" if there is nothing to tell.
	Mark, Note string
}

func newPostPage(post *store.Post, comments []store.Comment, author string, f *form) *postPage {
	p := &postPage{Post: post, Count: countComments(published(comments)), Form: f, Limits: formLimits, Rendered: time.Now().UnixMilli()}
	for _, c := range comments {
		own := comment{Comment: c}
		if c.Author == author && c.Status != store.Published {
			own.Mark, own.Note = mark(c.Status), note(c.Status)
		}
		p.Comments = append(p.Comments, own)
		p.Waiting = p.Waiting || c.Status == store.Checking
	}
	return p
}

// mark is the word that is stamped on a comment.
func mark(s store.Status) string {
	switch s {
	case store.Checking:
		return "Checking"
	case store.Published:
		return "Published"
	default:
		return "Held"
	}
}

// note tells authors how far their comments have come.
func note(s store.Status) string {
	switch s {
	case store.Checking:
		return "We are looking for spam. Only you can see this yet."
	case store.Published:
		return "Thank you for writing. Everybody can see this now."
	default:
		return "The filter takes this for spam. Only you can see it."
	}
}

func published(comments []store.Comment) (n int) {
	for _, c := range comments {
		if c.Status == store.Published {
			n++
		}
	}
	return n
}

func countComments(n int) string {
	switch n {
	case 0:
		return "No comments yet"
	case 1:
		return "1 comment"
	}
	return fmt.Sprintf("%d comments", n)
}

// block is a paragraph of a text, a quotation or a heading.
type block struct{ Kind, Text string }

// blocks are the parts of a text between empty lines. Those that start with # # or > are a heading or a quotation.
func blocks(text string) (out []block) {
	for part := range strings.SplitSeq(text, "\n\n") {
		part = strings.TrimSpace(part)
		if heading, ok := strings.CutPrefix(part, "## "); ok {
			out = append(out, block{"heading", heading})
		} else if quotation, ok := strings.CutPrefix(part, "> "); ok {
			out = append(out, block{"quotation", quotation})
		} else if part != "" {
			out = append(out, block{"paragraph", part})
		}
	}
	return out
}

// initial is the first letter of a name.
func initial(name string) string {
	r, _ := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r))
}

// hue is one of the colours of the style sheet, the same for the same name.
func hue(name string) uint32 {
	const hues = 6
	return crc32.ChecksumIEEE([]byte(name)) % hues
}
