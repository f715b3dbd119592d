package akismet

import (
	"net/url"
	"time"
)

// Comment is what Akismet is told. The more it is told the better it knows.
type Comment struct {
	// UserIP is the address of who sent the comment. Akismet does not answer without it.
	UserIP string
	// UserAgent and Referrer are the headers of the request that brought the comment.
	UserAgent, Referrer string
	// Permalink is the page that the comment is on.
	Permalink string
	// Author, Email, Homepage and Content are what was typed in.
	Author, Email, Homepage, Content string
	// Role is the author's role on the site. What an "administrator" writes is never spam.
	Role string
	// Posted is when the comment was sent.
	Posted time.Time
}

func (c *Comment) form() url.Values {
	form := url.Values{}
	for name, value := range map[string]string{
		"user_ip":              c.UserIP,
		"user_agent":           c.UserAgent,
		"referrer":             c.Referrer,
		"permalink":            c.Permalink,
		"comment_author":       c.Author,
		"comment_author_email": c.Email,
		"comment_author_url":   c.Homepage,
		"comment_content":      c.Content,
		"user_role":            c.Role,
		"comment_type":         "comment",
		"blog_charset":         "UTF-8",
	} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if !c.Posted.IsZero() {
		form.Set("comment_date_gmt", c.Posted.UTC().Format(time.RFC3339))
	}
	return form
}

// Verdict is what Akismet says of a comment.
type Verdict int

// The verdicts.
const (
	// Ham is a comment as it should be.
	Ham Verdict = iota + 1
	// Spam is for nobody to see until somebody has looked at it.
	Spam
	// Discard is spam of which Akismet is so sure that nobody need look at it.
	Discard
)

func (v Verdict) String() string {
	switch v {
	case Ham:
		return "ham"
	case Spam:
		return "spam"
	case Discard:
		return "spam to discard"
	}
	return "no verdict"
}
