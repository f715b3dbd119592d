package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// address is a parsed URL. The library's own parser is not used: its errors quote the URL, and it refuses Celery's options.
type address struct {
	network, host  string
	user, password string
	db             int
	tls            *tls.Config // nil: plain TCP
	prefix         string
	timeout        time.Duration
	connectTimeout time.Duration
	connections    int
}

const defaultTimeout = 5 * time.Second

// escapeHint ends the errors that a raw character in a password can cause.
const escapeHint = "(in a user name or password, characters such as / ? # @ : % must be percent-encoded)"

// parseURL reads a URL of the package comment. No error quotes it beyond the name of an option.
func parseURL(raw string) (*address, error) {
	a := &address{network: "tcp", user: "", timeout: defaultTimeout, connectTimeout: defaultTimeout}
	scheme, rest, _ := strings.Cut(raw, "://")
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(raw, "#") {
		return nil, errors.New("it has a # where none can be " + escapeHint)
	}
	var err error
	switch scheme {
	case "redis+socket":
		a.network, a.host = "unix", rest
		if !strings.HasPrefix(rest, "/") {
			err = errors.New("want redis+socket:// and an absolute path")
		}
	case "rediss":
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		fallthrough
	case "redis":
		err = a.parseServer(rest)
	default:
		err = errors.New("the scheme must be redis://, rediss:// or redis+socket://")
	}
	if err != nil {
		return nil, err
	}
	return a, a.parseOptions(query)
}

// parseServer reads [user[:password]@][host][:port][/db].
func (a *address) parseServer(rest string) error {
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path, "@") {
		return errors.New("it has an @ where none can be " + escapeHint)
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		var errUser, errPassword error
		a.user, errUser = url.PathUnescape(user)
		a.password, errPassword = url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return errors.New("the user name or password has a bad %-escape " + escapeHint)
		}
		authority = authority[at+1:]
	}
	host, port := authority, "6379"
	// A colon within brackets belongs to an IPv6 address.
	if colon := strings.LastIndex(authority, ":"); colon > strings.LastIndex(authority, "]") {
		host, port = authority[:colon], authority[colon+1:]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port is not a port number " + escapeHint)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case strings.ContainsAny(host, " \t\r\n%[],"):
		return errors.New("the host is not the name of one host " + escapeHint)
	case host == "":
		host = "localhost"
	}
	a.host = net.JoinHostPort(host, port)
	if a.tls != nil {
		a.tls.ServerName = host
	}
	return a.parseDB(path)
}

func (a *address) parseDB(text string) error {
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return errors.New("the database is not a number such as 0")
	}
	a.db = int(n)
	return nil
}

// parseOptions reads the query parameters.
func (a *address) parseOptions(query string) error {
	options, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its options (the part after ?) are not well-formed")
	}
	for name, values := range options {
		if err := a.parseOption(name, values[len(values)-1]); err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
	}
	certificate, key := options.Get("ssl_certfile"), options.Get("ssl_keyfile")
	if certificate == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("options ssl_certfile and ssl_keyfile: %w", err)
	}
	a.tls.Certificates = []tls.Certificate{pair}
	return nil
}

func (a *address) parseOption(name, value string) (err error) {
	if strings.HasPrefix(name, "ssl_") && a.tls == nil {
		return errors.New("it needs rediss://")
	}
	switch name {
	case "keyprefix":
		a.prefix = value
		// As in Celery.
		if value != "" && !strings.HasSuffix(value, ":") && !strings.HasSuffix(value, "_") && !strings.HasSuffix(value, "-") && !strings.HasSuffix(value, ".") {
			a.prefix += "_"
		}
	case "virtual_host":
		err = a.parseDB(value)
	case "password":
		a.password = value
	case "max_connections":
		a.connections, err = strconv.Atoi(value)
		if err != nil || a.connections < 1 {
			err = errors.New("want a number from 1")
		}
	case "socket_timeout":
		a.timeout, err = seconds(value)
	case "socket_connect_timeout":
		a.connectTimeout, err = seconds(value)
	case "ssl_certfile", "ssl_keyfile":
	case "ssl_ca_certs":
		pem, err := os.ReadFile(value)
		if err != nil {
			return err
		}
		a.tls.RootCAs = x509.NewCertPool()
		if !a.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s has no PEM certificate", value)
		}
	case "ssl_cert_reqs":
		if strings.ToLower(strings.TrimPrefix(strings.ToLower(value), "cert_")) != "required" {
			err = errors.New("the server's certificate is always verified: want required; ssl_ca_certs names the authority of a certificate that the system doesn't know")
		}
	default:
		err = errors.New("no such option; there are keyprefix, max_connections, password, socket_connect_timeout, socket_timeout, ssl_ca_certs, ssl_cert_reqs, ssl_certfile, ssl_keyfile and virtual_host")
	}
	return err
}

func seconds(text string) (time.Duration, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= 3600) {
		return 0, errors.New("want a number of seconds")
	}
	return time.Duration(n * float64(time.Second)), nil
}

// options are the address as the library takes it.
func (a *address) options() *goredis.Options {
	return &goredis.Options{
		Network: a.network, Addr: a.host, Username: a.user, Password: a.password, DB: a.db, TLSConfig: a.tls,
		DialTimeout: a.connectTimeout, ReadTimeout: a.timeout, WriteTimeout: a.timeout, PoolSize: a.connections,
		Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
	}
}

// String is the URL without password and options.
func (a *address) String() string {
	if a.network == "unix" {
		return "redis+socket://" + a.host
	}
	u := url.URL{Scheme: "redis", Host: a.host, Path: "/" + strconv.Itoa(a.db)}
	if a.tls != nil {
		u.Scheme = "rediss"
	}
	if a.user != "" {
		u.User = url.User(a.user)
	}
	return u.String()
}
