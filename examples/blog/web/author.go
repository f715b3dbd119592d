package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// authorCookie has the secret by which a visitor is known again, for a year.
const authorCookie = "author"

// author says who the visitor is, as [store.Comment.Author] does: "" before the first comment.
func author(r *http.Request) string {
	cookie, err := r.Cookie(authorCookie)
	if err != nil || cookie.Value == "" {
		return ""
	}
	// Who gets to read the database must not be able to pass for its authors.
	hash := sha256.Sum256([]byte(cookie.Value))
	return hex.EncodeToString(hash[:])
}

// knownAuthor is author, and gives a cookie to those who have none.
func knownAuthor(w http.ResponseWriter, r *http.Request) string {
	if known := author(r); known != "" {
		return known
	}
	cookie := &http.Cookie{ //nolint:gosec // secure wherever the blog is
		Name: authorCookie, Value: rand.Text(), Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil, // the example itself is served by plain HTTP, on localhost
	}
	http.SetCookie(w, cookie)
	r.AddCookie(cookie)
	return author(r)
}
