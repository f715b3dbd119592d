// Package akismet asks Akismet (https://akismet.com/developers/) whether a comment is spam.
package akismet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultURL is where Akismet is.
const DefaultURL = "https://rest.akismet.com"

const (
	// callTimeout bounds one call, from the connection to the last byte of the answer.
	callTimeout = 10 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes: the longest one that is known has nine.
	maxAnswer = 1024
	userAgent = "taskgen-blog/1.0 | Akismet/1.0" // in the form that Akismet asks for
)

// Config says for which site a [Client] asks.
type Config struct {
	// Key is the site's API key.
	Key string
	// Site is the URL of the site's front page.
	Site string
	// URL is where Akismet is, [DefaultURL] by default.
	URL string
	// Test tells Akismet to learn nothing from these calls.
	Test bool
}

// Client makes calls to Akismet. It is safe for concurrent use.
type Client struct {
	config   Config
	base     *url.URL
	http     *http.Client
	verified atomic.Bool
}

// New makes a client. It makes no call: see [Client.VerifyKey].
func New(config Config) (*Client, error) {
	base, err := parseURL(cmp.Or(config.URL, DefaultURL))
	if err != nil {
		return nil, fmt.Errorf("akismet: the URL of Akismet: %w", err)
	}
	if _, err := parseURL(config.Site); err != nil {
		return nil, fmt.Errorf("akismet: the URL of the site: %w", err)
	}
	return &Client{
		config: config,
		base:   base,
		http: &http.Client{
			Timeout: callTimeout,
			// Whatever a redirect is for, the key must not follow it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q: want http://… or https://…", s)
	}
	return u, nil
}

// VerifyKey asks whether the key is valid: [ErrInvalidKey] if it is not. Akismet wants that asked
// once, not before each check, so a client remembers it; until a check is refused.
func (c *Client) VerifyKey(ctx context.Context) error {
	if c.verified.Load() {
		return nil
	}
	const call = "verify-key"
	form := url.Values{}
	// Akismet's manual calls it api_key, the description of its API, and what is older, key.
	form.Set("key", c.config.Key)
	a, err := c.call(ctx, call, form)
	switch {
	case err != nil:
		return err
	case a.body == "invalid":
		return a.problem(call, ErrInvalidKey)
	case a.body != "valid":
		return a.problem(call, nil)
	}
	c.verified.Store(true)
	return nil
}

// Check asks what a comment is.
func (c *Client) Check(ctx context.Context, comment *Comment) (Verdict, error) {
	const call = "comment-check"
	a, err := c.call(ctx, call, comment.form())
	if err != nil {
		return 0, err
	}
	switch {
	case a.body == "false":
		return Ham, nil
	case a.body == "true" && a.header.Get("X-Akismet-Pro-Tip") == "discard":
		return Discard, nil
	case a.body == "true":
		return Spam, nil
	}
	// "invalid" is also what a key gets that was valid yesterday.
	c.verified.Store(false)
	return 0, a.problem(call, nil)
}

// answer is what Akismet says to a call.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes one call. The error says when there is no answer, or none that means anything.
func (c *Client) call(ctx context.Context, name string, form url.Values) (*answer, error) {
	form.Set("api_key", c.config.Key)
	form.Set("blog", c.config.Site)
	if c.config.Test {
		form.Set("is_test", "1")
	}
	endpoint := c.base.JoinPath("1.1", name).String()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("akismet %s: %w", name, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("akismet %s: %w", name, err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("akismet %s: reading the answer: %w", name, err)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: strings.TrimSpace(string(body))}
	if a.status != http.StatusOK {
		return nil, a.problem(name, nil)
	}
	return a, nil
}
