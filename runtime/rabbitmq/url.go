package rabbitmq

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
)

// address is a parsed broker URL. The library's own parser is not used: its
// errors quote the whole URL, the password included.
type address struct {
	hosts            []string // host:port, in the order to try
	user, password   string
	vhost            string
	external         bool          // authenticate by the client certificate
	heartbeat        time.Duration // 0: the broker's
	connectTimeout   time.Duration
	tls              *tls.Config // nil: plain TCP
	declaring        declaring
	serverNameInHost bool // verify the certificate against the host dialled
}

const (
	defaultHeartbeat      = 10 * time.Second
	defaultConnectTimeout = 10 * time.Second
)

// escapeHint ends the errors that a raw character in a password can cause.
const escapeHint = "(in a user name or password, characters such as / ? # @ : % must be percent-encoded)"

// parseURL reads amqp[s]://[user[:password]@]host[:port][,host[:port]…][/vhost][?options].
// No error and no part of one quotes the URL beyond the name of an option.
func parseURL(raw string) (*address, error) {
	a := &address{
		user: "guest", password: "guest", vhost: "/",
		heartbeat: defaultHeartbeat, connectTimeout: defaultConnectTimeout,
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	port := "5672"
	switch scheme {
	case "amqp":
	case "amqps":
		port = "5671"
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		a.serverNameInHost = true
	default:
		return nil, errors.New("the scheme must be amqp:// or amqps://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path+query, "@") || strings.Contains(raw, "#") {
		return nil, errors.New("it has an @ or # where none can be " + escapeHint)
	}
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := a.parseUser(authority[:at]); err != nil {
			return nil, err
		}
		authority = authority[at+1:]
	}
	if err := a.parseHosts(authority, port); err != nil {
		return nil, err
	}
	if path != "" {
		vhost, err := url.PathUnescape(path)
		if err != nil {
			return nil, errors.New("the virtual host has a bad %-escape")
		}
		a.vhost = vhost
	}
	if err := a.parseOptions(query); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *address) parseUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var errUser, errPassword error
	a.user, errUser = url.PathUnescape(user)
	a.password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return errors.New("the user name or password has a bad %-escape " + escapeHint)
	}
	return nil
}

func (a *address) parseHosts(list, defaultPort string) error {
	for i, entry := range strings.Split(list, ",") {
		host, port := entry, defaultPort
		// A colon within brackets belongs to an IPv6 address.
		if colon := strings.LastIndex(entry, ":"); colon > strings.LastIndex(entry, "]") {
			host, port = entry[:colon], entry[colon+1:]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("the port of host %d is not a port number %s", i+1, escapeHint)
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if strings.ContainsAny(host, " \t\r\n%[]") {
			return fmt.Errorf("host %d is not a host name %s", i+1, escapeHint)
		}
		if host == "" {
			host = "localhost"
		}
		a.hosts = append(a.hosts, net.JoinHostPort(host, port))
	}
	return nil
}

// parseOptions reads the query parameters that RabbitMQ's clients share.
func (a *address) parseOptions(query string) error {
	options, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its options (the part after ?) are not well-formed")
	}
	var certFile, keyFile string
	for name, values := range options {
		value := values[len(values)-1]
		switch name {
		case "heartbeat":
			a.heartbeat, err = number(value, time.Second)
		case "connection_timeout":
			a.connectTimeout, err = number(value, time.Millisecond)
			if err == nil && a.connectTimeout == 0 {
				a.connectTimeout = defaultConnectTimeout
			}
		case "auth_mechanism":
			switch strings.ToLower(value) {
			case "plain":
			case "external":
				a.external = true
			default:
				err = errors.New("want plain or external")
			}
		case "declare":
			a.declaring.mode, err = parseDeclareMode(value)
		case "queue_type":
			a.declaring.queueType, err = parseQueueType(value)
		case "cacertfile", "certfile", "keyfile", "server_name_indication":
			if a.tls == nil {
				err = errors.New("it needs amqps://")
			}
		default:
			err = errors.New("no such option; there are auth_mechanism, cacertfile, certfile, connection_timeout, declare, heartbeat, keyfile, queue_type and server_name_indication")
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
	}
	if a.tls == nil {
		return nil
	}
	if name := options.Get("server_name_indication"); name != "" {
		a.tls.ServerName, a.serverNameInHost = name, false
	}
	if file := options.Get("cacertfile"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("option %q: %w", "cacertfile", err)
		}
		a.tls.RootCAs = x509.NewCertPool()
		if !a.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("option %q: %s has no PEM certificate", "cacertfile", file)
		}
	}
	certFile, keyFile = options.Get("certfile"), options.Get("keyfile")
	if (certFile == "") != (keyFile == "") {
		return errors.New("options certfile and keyfile go together")
	}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("options certfile and keyfile: %w", err)
		}
		a.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

func number(text string, unit time.Duration) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, errors.New("want a whole number")
	}
	return time.Duration(n) * unit, nil
}

// String is the URL without password and options.
func (a *address) String() string {
	u := url.URL{Scheme: "amqp", User: url.User(a.user), Host: strings.Join(a.hosts, ",")}
	if a.tls != nil {
		u.Scheme = "amqps"
	}
	if a.vhost != "/" {
		u.Path = "/" + a.vhost
		u.RawPath = "/" + url.PathEscape(a.vhost)
	}
	return u.String()
}
