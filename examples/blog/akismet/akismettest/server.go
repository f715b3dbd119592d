// Package akismettest answers as Akismet does, for those who have no key: its documented test
// cases, and two rules that are enough to play with.
package akismettest

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// Key is the only key that is valid.
const Key = "0123456789ab"

// What Akismet always takes for spam, by its own manual. The first name is of its older editions.
const (
	SpamAuthor    = "viagra-test-123"
	NewSpamAuthor = "akismet-guaranteed-spam"
	SpamEmail     = "akismet-guaranteed-spam@example.com"
)

const (
	spamLinks    = 3  // links from which on a comment is spam
	discardLinks = 10 // and is not worth looking at
	maxBody      = 1 << 20
)

// Handler is an Akismet of one's own.
type Handler struct {
	// Delay is how long it thinks about a comment. The real one is far away; here it lets people see
	// what happens meanwhile. 0: not at all.
	Delay time.Duration
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Akismet is asked by POST.", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "That is no form.", http.StatusBadRequest)
		return
	}
	switch r.URL.Path {
	case "/1.1/verify-key":
		verifyKey(w, r)
	case "/1.1/comment-check":
		h.checkComment(w, r)
	default:
		http.Error(w, "There is no such call.", http.StatusNotFound)
	}
}

func verifyKey(w http.ResponseWriter, r *http.Request) {
	if problem := refusal(r, "blog"); problem != "" {
		refuse(w, problem)
		return
	}
	say(w, "valid")
}

func (h *Handler) checkComment(w http.ResponseWriter, r *http.Request) {
	if problem := refusal(r, "blog", "user_ip"); problem != "" {
		refuse(w, problem)
		return
	}
	select {
	case <-time.After(h.Delay):
	case <-r.Context().Done():
		return
	}
	spam, discard := judge(r)
	if discard {
		w.Header().Set("X-Akismet-Pro-Tip", "discard")
	}
	if spam {
		say(w, "true")
	} else {
		say(w, "false")
	}
}

// refusal says what is wrong with a call, "" if nothing is.
func refusal(r *http.Request, required ...string) string {
	key := r.PostForm.Get("api_key")
	if key == "" {
		key = r.PostForm.Get("key")
	}
	if key != Key {
		return "the key is not known"
	}
	for _, name := range required {
		if r.PostForm.Get(name) == "" {
			return `"` + name + `" is missing`
		}
	}
	return ""
}

func refuse(w http.ResponseWriter, problem string) {
	w.Header().Set("X-Akismet-Debug-Help", problem)
	say(w, "invalid")
}

// judge says whether a comment is spam, and so bad that nobody need see it.
func judge(r *http.Request) (spam, discard bool) {
	author, email := r.PostForm.Get("comment_author"), r.PostForm.Get("comment_author_email")
	switch {
	case author == SpamAuthor, author == NewSpamAuthor, email == SpamEmail:
		return true, false
	case r.PostForm.Get("user_role") == "administrator":
		return false, false
	}
	content := strings.ToLower(r.PostForm.Get("comment_content"))
	links := strings.Count(content, "http://") + strings.Count(content, "https://")
	return links >= spamLinks || strings.Contains(content, "casino"), links >= discardLinks
}

// say answers. Who has hung up need not hear it.
func say(w io.Writer, answer string) { _, _ = io.WriteString(w, answer) }
