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
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTLS talks to the broker through a listener with certificates of its own.
func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	now := time.Now()
	good, ca := certificate(t, "broker.test", now.Add(time.Hour))
	expired, expiredCA := certificate(t, "broker.test", now.Add(-time.Minute))
	_, otherCA := certificate(t, "broker.test", now.Add(time.Hour))
	for name, c := range map[string]struct {
		certificate   tls.Certificate
		options, want string
	}{
		"accepted":      {good, "server_name_indication=broker.test&cacertfile=" + ca, ""},
		"wrong name":    {good, "cacertfile=" + ca, "127.0.0.1"},
		"wrong CA":      {good, "server_name_indication=broker.test&cacertfile=" + otherCA, "unknown authority"},
		"expired":       {expired, "server_name_indication=broker.test&cacertfile=" + expiredCA, "expired"},
		"no CA at all":  {good, "server_name_indication=broker.test", "unknown authority"},
		"own name last": {good, "cacertfile=" + ca + "&server_name_indication=broker.test", ""},
	} {
		u, err := url.Parse(w.url)
		w.check(err)
		u.Host = tlsListener(t, u.Host, c.certificate)
		u.Scheme, u.RawQuery = "amqps", c.options
		transport := w.open(u.String())
		if c.want == "" {
			w.check(transport.Publish(w.ctx, w.message("x")))
			continue
		}
		// Until the handshake has failed, the error says only that there is no connection yet.
		w.eventually(name+": the error says "+c.want, func() bool {
			ctx, cancel := context.WithTimeout(w.ctx, 500*time.Millisecond)
			defer cancel()
			err := transport.Publish(ctx, w.message("x"))
			if err == nil {
				t.Fatalf("%s: accepted", name)
			}
			return strings.Contains(err.Error(), c.want)
		})
	}
}

// certificate makes a certificate that signs itself, and a file to trust it by.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// tlsListener ends TLS in front of a broker, and returns its address.
func tlsListener(t *testing.T, broker string, c tls.Certificate) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			secure, err := l.Accept()
			if err != nil {
				return
			}
			plain, err := net.Dial("tcp", broker)
			if err != nil {
				secure.Close()
				return
			}
			go func() { _, _ = io.Copy(plain, secure); plain.Close() }()
			go func() { _, _ = io.Copy(secure, plain); secure.Close() }()
		}
	}()
	return l.Addr().String()
}
