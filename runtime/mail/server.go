package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// commandTimeout bounds the way to a session – connecting, TLS, authentication – and then the sending of
// each mail.
const commandTimeout = 30 * time.Second

// server is a mail server and how to talk to it.
type server struct {
	host           string
	port           int
	user, password string
	implicit       bool // TLS from the start
	starttls       gomail.TLSPolicy
	tls            *tls.Config
	dial           func(ctx context.Context, network, address string) (net.Conn, error)
}

// escapeHint ends the errors that a raw character in a password can cause.
const escapeHint = "(in a user name or password, characters such as / ? # @ : % must be percent-encoded)"

// parseURL reads smtp[s]://[user:password@]host[:port][?options]. The errors of net/url quote
// the password, so it isn't used.
func parseURL(raw string) (*server, error) {
	s := &server{starttls: gomail.TLSMandatory, tls: &tls.Config{MinVersion: tls.VersionTLS12}, dial: (&net.Dialer{}).DialContext}
	scheme, rest, _ := strings.Cut(raw, "://")
	port := "587"
	switch scheme {
	case "smtp":
	case "smtps":
		port = "465"
		s.implicit, s.starttls = true, gomail.NoTLS
	default:
		return nil, errors.New("the scheme must be smtp:// or smtps://")
	}
	authority, query, _ := strings.Cut(rest, "?")
	authority = strings.TrimSuffix(authority, "/")
	if strings.ContainsAny(query, "@") || strings.ContainsAny(authority, "/") || strings.Contains(raw, "#") {
		return nil, errors.New("it has an @, / or # where none can be " + escapeHint)
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := s.parseUser(authority[:at]); err != nil {
			return nil, err
		}
		authority = authority[at+1:]
	}
	if err := s.parseHost(authority, port); err != nil {
		return nil, err
	}
	if err := s.parseOptions(query); err != nil {
		return nil, err
	}
	if s.password != "" && !s.implicit && s.starttls != gomail.TLSMandatory && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, s.host) {
		return nil, errors.New("option \"tls\": a password must not go to another machine without TLS")
	}
	return s, nil
}

func (s *server) parseUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var errUser, errPassword error
	s.user, errUser = url.PathUnescape(user)
	s.password, errPassword = url.PathUnescape(password)
	switch {
	case errUser != nil || errPassword != nil:
		return errors.New("the user name or password has a bad %-escape " + escapeHint)
	case s.user == "" || s.password == "":
		return errors.New("want both user and password before the @, or none")
	case strings.ContainsFunc(s.user+s.password, func(r rune) bool { return r < ' ' }):
		return errors.New("the user name or password has a control character")
	}
	return nil
}

func (s *server) parseHost(host, port string) error {
	// A colon within brackets belongs to an IPv6 address.
	if colon := strings.LastIndex(host, ":"); colon > strings.LastIndex(host, "]") {
		host, port = host[:colon], host[colon+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errors.New("the port is not a port number " + escapeHint)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" {
		return errors.New("it names no host")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("%[]\"", r) }) {
		return errors.New("the host is not a host name " + escapeHint)
	}
	s.host, s.port, s.tls.ServerName = host, int(n), host
	return nil
}

func (s *server) parseOptions(query string) error {
	options, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its options (the part after ?) are not well-formed")
	}
	for name, values := range options {
		value := values[len(values)-1]
		switch name {
		case "tls":
			err = s.parseTLS(value)
		case "server_name_indication":
			s.tls.ServerName = value
		case "cacertfile":
			s.tls.RootCAs, err = authorities(value)
		default:
			err = errors.New("no such option; there are cacertfile, server_name_indication and tls")
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
	}
	return nil
}

func (s *server) parseTLS(value string) error {
	policy, known := map[string]gomail.TLSPolicy{
		"required": gomail.TLSMandatory, "opportunistic": gomail.TLSOpportunistic, "none": gomail.NoTLS,
	}[value]
	switch {
	case s.implicit:
		return errors.New("smtps:// always has TLS")
	case !known:
		return errors.New("want required, opportunistic or none")
	}
	s.starttls = policy
	return nil
}

// authorities are the certificates of a file.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no PEM certificate", file)
	}
	return pool, nil
}

// String is the URL without password and options.
func (s *server) String() string {
	u := url.URL{Scheme: "smtp", Host: net.JoinHostPort(s.host, strconv.Itoa(s.port))}
	if s.implicit {
		u.Scheme = "smtps"
	}
	if s.user != "" {
		u.User = url.User(s.user)
	}
	return u.String()
}

// refusal is an error that another attempt will meet again: the server has said so.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// send sends letters over one connection, and returns how many the server has taken. An error is about the
// one after these, and has no password in it.
func (s *server) send(ctx context.Context, e envelope, letters []*letter) (sent int, err error) {
	defer func() {
		// A library that trips over what a server says must not end the worker.
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
		if err == nil {
			return
		}
		permanent := code(err) >= 500
		err = errors.New(s.conceal(err.Error()) + hint(err))
		if permanent {
			err = &refusal{err}
		}
	}()
	line := &line{server: s, ctx: ctx}
	defer line.hangUp()
	client, err := gomail.NewClient(s.host, s.options(line)...)
	if err != nil {
		return 0, err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return 0, err
	}
	for _, l := range letters {
		m := l.message(e)
		if err := client.SendWithSMTPClient(session, m); err != nil && !m.IsDelivered() {
			return sent, err
		}
		sent++
	}
	_ = client.CloseWithSMTPClient(session) // the server has all that matters
	return sent, nil
}

func (s *server) options(l *line) []gomail.Option {
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(commandTimeout), gomail.WithTLSConfig(s.tls), gomail.WithTLSPolicy(s.starttls),
		gomail.WithDialContextFunc(l.dial), gomail.WithHELO(helo()), gomail.WithoutSMTPUTF8(), gomail.WithoutNoop(),
	}
	if s.user != "" {
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.password),
			// The library takes a connection that was made for it for one without TLS, so that its own choice would leave out PLAIN.
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthCramMD5, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return options
}

// helo is the name that a client has to give; that of a machine may be none that servers take.
func helo() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", r)
	}) {
		return "localhost"
	}
	return name
}

// code is the server's answer that an error is about, 0 if it is about something else.
func code(err error) int {
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return answer.Code
	}
	if failed, ok := errors.AsType[*gomail.SendError](err); ok {
		return failed.ErrorCode()
	}
	return 0
}

// hint says what to do about an error that names only what is wrong.
func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return " (option cacertfile of the URL names a file with the authority's certificate)"
	}
	return ""
}

// conceal hides the password in what a server has said, also as it travels: there are servers that
// quote what they don't understand.
func (s *server) conceal(text string) string {
	if s.password == "" {
		return text
	}
	for _, secret := range []string{
		s.password,
		base64.StdEncoding.EncodeToString([]byte(s.password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + s.user + "\x00" + s.password)),
	} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// line is one connection. The library leaves it open after some errors, and once it is open
// no context ends it.
type line struct {
	server *server
	ctx    context.Context // the one that dial gets ends when the session has begun
	conn   net.Conn
	stop   func() bool
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.server.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.conn, l.stop = conn, context.AfterFunc(l.ctx, func() { _ = conn.Close() })
	if !l.server.implicit {
		return conn, nil
	}
	secure := tls.Client(conn, l.server.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

func (l *line) hangUp() {
	if l.conn != nil {
		l.stop()
		_ = l.conn.Close()
	}
}
