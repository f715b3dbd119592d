package web

import (
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// limits are the most characters that each field takes; the page tells the browser, and the server checks.
type limits struct{ Name, Email, Homepage, Comment int }

var formLimits = limits{Name: 64, Email: 254, Homepage: 200, Comment: 5000}

// maxForm bounds a request with a form, in bytes: all fields full of the longest characters, and each byte
// of them written as %XX.
const maxForm = 96 << 10

// form is what a visitor typed in, and what is wrong with it.
type form struct {
	Name, Email, Homepage, Comment string
	// Problems are sentences by the name of the field.
	Problems map[string]string
}

// Invalid is the id of the element that says what is wrong with a field, "" if nothing is.
func (f *form) Invalid(field string) string {
	if f.Problems[field] == "" {
		return ""
	}
	return field + "-problem"
}

// readForm reads and checks a form. It is an error if it is too large or none at all.
func readForm(w http.ResponseWriter, r *http.Request) (*form, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	f := &form{
		Name: line(r.PostForm.Get("name")), Email: line(r.PostForm.Get("email")),
		Homepage: line(r.PostForm.Get("homepage")),
		Comment:  strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get("comment"), "\r\n", "\n")),
		Problems: map[string]string{},
	}
	f.check()
	return f, nil
}

// line makes one line of whatever was pasted.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

func (f *form) check() {
	f.checkText("name", "Please tell us your name.", f.Name, formLimits.Name)
	f.checkText("email", "Please tell us your e-mail address.", f.Email, formLimits.Email)
	f.checkText("homepage", "", f.Homepage, formLimits.Homepage)
	f.checkText("comment", "Please write something.", f.Comment, formLimits.Comment)
	if f.Problems["email"] == "" {
		// The parser takes "Ada <ada@example.com>" too.
		if address, err := mail.ParseAddress(f.Email); err != nil || address.Address != f.Email {
			f.Problems["email"] = "That is not an e-mail address. One looks like ada@example.com."
		}
	}
	if f.Problems["homepage"] == "" && f.Homepage != "" {
		u, err := url.Parse(f.Homepage)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			f.Problems["homepage"] = "That is not the address of a page. One looks like https://example.com."
		}
	}
	for field, problem := range f.Problems {
		if problem == "" {
			delete(f.Problems, field)
		}
	}
}

// checkText wants readable text of at most so many characters. missing is what to say if there is none, "" if there
// need not be.
func (f *form) checkText(field, missing, text string, most int) {
	switch {
	case text == "":
		f.Problems[field] = missing
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unreadable):
		f.Problems[field] = "There are characters in it that nobody can read."
	case utf8.RuneCountInString(text) > most:
		f.Problems[field] = fmt.Sprintf("That is too long: %d characters are the most.", most)
	}
}

// unreadable finds control characters, and those that turn the direction of the text around them.
func unreadable(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}
