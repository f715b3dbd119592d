package rabbitmq_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTLS talks to a broker that wants certificates, and has one.
func TestTLS(t *testing.T) {
	now := time.Now()
	ca, otherCA := newAuthority(t), newAuthority(t)
	server, expiredServer := ca.issue("broker.test", now.Add(time.Hour)), ca.issue("broker.test", now.Add(-time.Minute))
	address := freeAddress(t)
	conf := filepath.Join(t.TempDir(), "tls.conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `
		listeners.ssl.1 = %s
		ssl_options.cacertfile = %s
		ssl_options.certfile = %s
		ssl_options.keyfile = %s
		ssl_options.verify = verify_peer
		ssl_options.fail_if_no_peer_cert = true
		auth_mechanisms.1 = PLAIN
		auth_mechanisms.2 = EXTERNAL
		ssl_cert_login_from = common_name
	`, address, ca.file, server.file, server.key), 0o600))
	n := ownNode(t, conf, "rabbitmq_auth_mechanism_ssl")
	n.ctl("add_user", "machine", "n3ver-sent")
	n.ctl("set_permissions", "machine", ".*", ".*", ".*")
	w := newWorld(t, n.url)

	client := ca.issue("machine", now.Add(time.Hour)).options()
	trust := "&server_name_indication=broker.test&cacertfile=" + ca.file
	const external = "&auth_mechanism=external"
	for name, c := range map[string]struct{ options, want string }{
		"right":                              {client + trust, ""},
		"wrong CA":                           {client + "&server_name_indication=broker.test&cacertfile=" + otherCA.file, "certificate signed by unknown authority"},
		"no CA":                              {client + "&server_name_indication=broker.test", "certificate signed by unknown authority"},
		"wrong name":                         {client + "&cacertfile=" + ca.file, "doesn't contain any IP SANs"},
		"no client certificate":              {trust[1:], "certificate required"},
		"client certificate of another CA":   {otherCA.issue("machine", now.Add(time.Hour)).options() + trust, "unknown certificate authority"},
		"client certificate expired":         {ca.issue("machine", now.Add(-time.Minute)).options() + trust, "expired certificate"},
		"login by certificate":               {client + trust + external, ""},
		"login by a certificate of a nobody": {ca.issue("nobody", now.Add(time.Hour)).options() + trust + external, "refuses"},
	} {
		t.Run(name, func(t *testing.T) { tryTLS(t, w, address, c.options, c.want) })
	}
	w.consume(w.open("amqps://" + address + "?" + client + trust + external)).drain("x") // of those that were right
	t.Run("TLS 1.1", func(t *testing.T) {
		pair, err := tls.LoadX509KeyPair(server.file, server.key)
		check(t, err)
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		})
		check(t, err)
		defer l.Close()
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				_ = conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
		tryTLS(t, w, l.Addr().String(), client+trust, "protocol version")
	})
	t.Run("expired", func(t *testing.T) {
		check(t, os.Rename(expiredServer.file, server.file))
		check(t, os.Rename(expiredServer.key, server.key))
		n.ctl("eval", "ssl:clear_pem_cache().")
		tryTLS(t, w, address, client+trust, "certificate has expired")
	})
}

// tryTLS publishes, and wants an error that says so, or none.
func tryTLS(t *testing.T, w *world, address, options, want string) {
	u, err := url.Parse(w.url)
	check(t, err)
	password, _ := u.User.Password()
	u.User = url.UserPassword(u.User.Username(), "s3cret")
	if want == "" {
		u.User = url.UserPassword(u.User.Username(), password)
	}
	u.Scheme, u.Host, u.RawQuery = "amqps", address, options
	transport := w.open(u.String())
	if want == "" {
		check(t, transport.Publish(w.ctx, w.message("x")))
		return
	}
	in := w.consume(transport)
	defer in.Close()
	// Until the handshake has failed, the error says only that there is no connection yet.
	w.eventually("the error says "+want, func() bool {
		ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
		defer cancel()
		if err = transport.Publish(ctx, w.message("x")); err == nil {
			t.Fatal("accepted")
		}
		return strings.Contains(err.Error(), want)
	})
	w.eventually("the log says "+want, func() bool { return strings.Contains(in.log.String(), want) })
	if strings.Contains(err.Error()+in.log.String(), "s3cret") {
		t.Errorf("the password is told: %v\n%s", err, in.log)
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

// authority signs certificates.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	a.certificate = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &a.key.PublicKey, a.key)
	check(t, err)
	a.file = writePEM(t, "CERTIFICATE", der)
	return a
}

// identity is a certificate and its key, in files.
type identity struct{ file, key string }

func (i identity) options() string { return "certfile=" + i.file + "&keyfile=" + i.key }

// issue makes a certificate for a server or a client.
func (a *authority) issue(name string, until time.Time) identity {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	check(a.t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	check(a.t, err)
	return identity{file: writePEM(a.t, "CERTIFICATE", der), key: writePEM(a.t, "EC PRIVATE KEY", secret)}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "it.pem")
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}
