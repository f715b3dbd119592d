package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Defaults of an [HTTP].
const (
	DefaultHTTPTimeout = 30 * time.Second
	DefaultHTTPMaxBody = 1 << 20
)

const (
	// maxRedirects is how often a request may be sent on.
	maxRedirects = 3
	// maxHeader is how long the headers of an answer may be, in bytes.
	maxHeader = 64 << 10
	// maxExcerpt is how much of an answer an error shows, in bytes.
	maxExcerpt = 200
)

// HTTP says what [HTTPCall] may ask, on behalf of whoever can send tasks.
type HTTP struct {
	// AllowedHosts are the hosts that may be asked: "api.example.com" at the port of http or https,
	// "api.example.com:8080" at that one, "*.example.com" for all names below a domain, but not
	// the domain itself. Without any, every call is refused.
	AllowedHosts []string
	// AllowPrivate lets hosts on the list have addresses that are not of the public internet: private
	// ones, that of the machine itself, those of a cloud's metadata service. Not allowed by default.
	AllowPrivate bool
	// Timeout bounds a whole call, redirects included. 30 s by default.
	Timeout time.Duration
	// MaxBody bounds the answer, in bytes, after decompression. 1 MiB by default.
	MaxBody int64

	hosts  []hostPattern
	client *http.Client

	resolver *net.Resolver // of tests; nil: the system's
}

// complete checks the settings and fills in the defaults.
func (h *HTTP) complete() error {
	if h.Timeout < 0 || h.MaxBody < 0 {
		return errors.New("builtin.HTTP: no number may be negative")
	}
	if h.Timeout == 0 {
		h.Timeout = DefaultHTTPTimeout
	}
	if h.MaxBody == 0 {
		h.MaxBody = DefaultHTTPMaxBody
	}
	h.hosts = nil
	for _, text := range h.AllowedHosts {
		p, err := parseHost(text)
		if err != nil {
			return err
		}
		h.hosts = append(h.hosts, p)
	}
	// The environment's proxy would dial in our place, where no address can be checked.
	h.client = &http.Client{
		CheckRedirect: h.checkRedirect,
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Resolver: h.resolver, Control: h.checkAddress}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns:           100,
			IdleConnTimeout:        time.Minute,
		},
	}
	return nil
}

// call asks a web service to do the work: GET with params in the query of the URL, or POST with
// params as a form. params is a JSON object of texts, numbers, booleans, and lists of these; null is left
// out. The service answers {"status": "success", "retval": …}, and retval is the result; or
// {"status": "failure", "reason": "…"}, and the task fails with the reason.
//
//task:name taskgen.http
//task:serializer json
//task:secret params
func (h *HTTP) call(ctx context.Context, method, url string, params json.RawMessage) (json.RawMessage, error) {
	request, err := h.request(ctx, method, url, params)
	if err != nil {
		return nil, task.Permanent(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.Timeout, fmt.Errorf("no answer within %s", h.Timeout))
	defer cancel()
	retval, err := h.ask(request.WithContext(ctx))
	if err == nil {
		return retval, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("%s %s: %w", method, shown(request.URL), err)
}

// request makes the request, if it is one that may be made.
func (h *HTTP) request(ctx context.Context, method, address string, params json.RawMessage) (*http.Request, error) {
	u, err := url.Parse(address)
	if err != nil {
		// The error of url.Parse shows all of it, and there may be a password in it.
		return nil, errors.New("the URL can't be parsed")
	}
	if err := h.check(u); err != nil {
		return nil, err
	}
	values, err := form(params)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	switch method {
	case http.MethodGet:
		u.RawQuery = strings.Trim(u.RawQuery+"&"+values.Encode(), "&")
	case http.MethodPost:
		body = strings.NewReader(values.Encode())
	default:
		return nil, fmt.Errorf("method %q: want GET or POST", method)
	}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: it can't be requested", method, shown(u))
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "taskgen")
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request, nil
}

// check refuses URLs that lead elsewhere than to the allowed hosts.
func (h *HTTP) check(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("scheme %q: want a URL of http or https", u.Scheme)
	case u.User != nil:
		return errors.New("there are credentials in the URL, where logs would show them; pass them in params")
	case u.Host == "":
		return errors.New("there is no host in the URL")
	}
	for _, p := range h.hosts {
		if p.allows(u) {
			return nil
		}
	}
	if len(h.hosts) == 0 {
		return errors.New("this worker may ask no host: start it with -http-allow HOSTS")
	}
	return fmt.Errorf("host %q is not on the worker's list of allowed hosts (-http-allow)", u.Host)
}

// checkRedirect lets a host send requests on to other hosts of the list, a few times.
func (h *HTTP) checkRedirect(next *http.Request, before []*http.Request) error {
	// It would tell the next host the parameters of the one before.
	next.Header.Del("Referer")
	switch {
	case len(before) > maxRedirects:
		return task.Permanent(fmt.Errorf("redirected more than %d times", maxRedirects))
	case before[len(before)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
		return task.Permanent(errors.New("redirected from https to http"))
	}
	if err := h.check(next.URL); err != nil {
		return task.Permanent(fmt.Errorf("redirected: %w", err))
	}
	return nil
}

// checkAddress refuses the address that is about to be dialled, whatever its name was resolved to before.
func (h *HTTP) checkAddress(_, address string, _ syscall.RawConn) error {
	if h.AllowPrivate {
		return nil
	}
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return task.Permanent(fmt.Errorf("the address %q can't be checked: %w", address, err))
	}
	return checkPublic(a.Addr())
}

// ask sends the request and reads what comes of it.
func (h *HTTP) ask(request *http.Request) (json.RawMessage, error) {
	response, err := h.client.Do(request)
	if err != nil {
		// What url.Error adds is the URL with its query.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, h.MaxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("status %d, but the answer can't be read: %w", response.StatusCode, err)
	case int64(len(body)) > h.MaxBody:
		return nil, fmt.Errorf("status %d, but the answer has more than %d bytes", response.StatusCode, h.MaxBody)
	}
	return readAnswer(response.StatusCode, body)
}

// shown is what errors tell of a URL: not its query, which may have secrets.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
