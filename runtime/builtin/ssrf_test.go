package builtin

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// resolve makes a resolver that answers every name with one address after the other, the last of them again and again.
func resolve(t testing.TB, addresses ...string) *net.Resolver {
	t.Helper()
	var mu sync.Mutex
	next := func(v4 bool) []byte {
		mu.Lock()
		defer mu.Unlock()
		a := netip.MustParseAddr(addresses[0])
		if a.Is4() != v4 {
			return nil
		}
		if len(addresses) > 1 {
			addresses = addresses[1:]
		}
		return a.AsSlice()
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer func() { _ = server.Close() }()
			for answerOne(server, next) == nil {
			}
		}()
		return client, nil
	}}
}

// answerOne answers one question as a name server does over TCP (RFC 1035).
func answerOne(conn net.Conn, next func(v4 bool) []byte) error {
	const headerSize, typeA, noError = 12, 1, 0x8180
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	kind := headerSize + bytes.IndexByte(message[headerSize:], 0) + 1 // behind the name
	message = message[:kind+4]
	address := next(binary.BigEndian.Uint16(message[kind:]) == typeA)
	binary.BigEndian.PutUint16(message[2:], noError)
	copy(message[4:headerSize], []byte{0, 1, 0, byte(min(1, len(address))), 0, 0, 0, 0})
	if address != nil {
		name := []byte{0xc0, headerSize} // that of the question
		message = slices.Concat(message, name, message[kind:], []byte{0, 0, 0, 60, 0, byte(len(address))}, address)
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// asker may ask the given hosts. What it would connect to is noted, and goes no further.
type asker struct {
	HTTP

	mu     sync.Mutex
	dialed []netip.Addr
}

var errDialed = errors.New("as far as a test goes")

func newAsker(t testing.TB, resolver *net.Resolver, hosts ...string) *asker {
	t.Helper()
	a := &asker{HTTP: HTTP{AllowedHosts: hosts, Timeout: 5 * time.Second, resolver: resolver}}
	if err := a.complete(); err != nil {
		t.Fatal(err)
	}
	dialer := &net.Dialer{Resolver: resolver, Control: func(network, address string, c syscall.RawConn) error {
		if err := a.checkAddress(network, address, c); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.dialed = append(a.dialed, netip.MustParseAddrPort(address).Addr())
		return errDialed
	}}
	a.client.Transport.(*http.Transport).DialContext = dialer.DialContext
	return a
}

// TestTricks: each of these addresses is a way into the private network, or around the list of hosts. Even where the
// list has the very name, nobody is connected to.
func TestTricks(t *testing.T) {
	t.Parallel()
	const list = "api.example.com"
	for _, trick := range []struct {
		address string
		resolve string // what the system would make of the name
		listed  string // the host that is on the list besides, because somebody was careless
	}{
		// Addresses of this machine and its networks.
		{"http://127.0.0.1/", "", "127.0.0.1"},
		{"http://127.0.0.1:22/", "", "127.0.0.1:22"},
		{"http://127.1/", "127.0.0.1", "127.1"},
		{"http://127.255.255.254/", "", "127.255.255.254"},
		{"http://0.0.0.0/", "", "0.0.0.0"},
		{"http://0/", "0.0.0.0", "0"},
		{"http://0x7f.1/", "127.0.0.1", "0x7f.1"},
		{"http://0x7f000001/", "127.0.0.1", "0x7f000001"},
		{"http://0177.0.0.1/", "127.0.0.1", "0177.0.0.1"},
		{"http://2130706433/", "127.0.0.1", "2130706433"},
		{"http://017700000001/", "127.0.0.1", "017700000001"},
		{"http://10.0.0.1/", "", "10.0.0.1"},
		{"http://172.16.0.1/", "", "172.16.0.1"},
		{"http://192.168.1.1/", "", "192.168.1.1"},
		{"http://100.64.0.1/", "", "100.64.0.1"},
		{"http://169.254.169.254/latest/meta-data/", "", "169.254.169.254"},
		{"http://[fd00:ec2::254]/", "", "[fd00:ec2::254]"},
		{"http://metadata.google.internal/", "169.254.169.254", "metadata.google.internal"},
		{"http://[::1]/", "", "[::1]"},
		{"http://[::]/", "", "[::]"},
		{"http://[0:0:0:0:0:0:0:1]/", "", "[::1]"},
		{"http://[::ffff:127.0.0.1]/", "", "[::ffff:127.0.0.1]"},
		{"http://[::ffff:7f00:1]/", "", "[::ffff:127.0.0.1]"},
		{"http://[::127.0.0.1]/", "", "[::127.0.0.1]"},
		{"http://[64:ff9b::7f00:1]/", "", "[64:ff9b::7f00:1]"},
		{"http://[2002:7f00:1::]/", "", "[2002:7f00:1::]"},
		{"http://[fc00::1]/", "", "[fc00::1]"},
		{"http://[fe80::1]/", "", "[fe80::1]"},
		{"http://[fe80::1%25lo]/", "", "[fe80::1%25lo]"},
		{"http://[::1%25lo]/", "", "[::1%25lo]"},
		{"http://[ff02::1]/", "", "[ff02::1]"},
		{"http://255.255.255.255/", "", "255.255.255.255"},
		// Names that lead there.
		{"http://localhost/", "127.0.0.1", "localhost"},
		{"http://localhost./", "127.0.0.1", "localhost"},
		{"http://LOCALHOST/", "127.0.0.1", "localhost"},
		{"http://127.0.0.1.nip.io/", "127.0.0.1", "127.0.0.1.nip.io"},
		{"http://api.example.com/", "10.0.0.1", ""},
		{"http://api.example.com/", "::1", ""},
		{"http://api.example.com/", "::ffff:10.0.0.1", ""},
		{"https://api.example.com/", "169.254.169.254", ""},
		{"http://www.example.com/", "10.0.0.1", "*.example.com"},
		// Names that look like others.
		{"http://①②⑦.⓪.⓪.①/", "127.0.0.1", ""},
		{"http://ⓛocalhost/", "127.0.0.1", ""},
		{"http://127。0。0。1/", "127.0.0.1", ""},
		{"http://api.example.com@127.0.0.1/", "", "127.0.0.1"},
		{"http://api.example.com:80@127.0.0.1/", "", "127.0.0.1"},
		{"http://api.example.com%2f@127.0.0.1/", "", "127.0.0.1"},
		{"http://127.0.0.1#@api.example.com/", "", "127.0.0.1"},
		{"http://127.0.0.1?@api.example.com/", "", "127.0.0.1"},
		{`http://127.0.0.1\@api.example.com/`, "", "127.0.0.1"},
		{"http://127.0.0.1%00.example.com/", "127.0.0.1", "*.example.com"},
		{"http://127.0.0.1%2eexample.com/", "127.0.0.1", "*.example.com"},
		{"http://api.example.com.evil.test/", "10.0.0.1", ""},
		{"http://evil-api.example.com/", "10.0.0.1", ""},
		// Other schemes, and no host at all.
		{"file:///etc/passwd", "", ""},
		{"gopher://127.0.0.1:6379/_FLUSHALL", "", "127.0.0.1:6379"},
		{"unix:///var/run/docker.sock", "", ""},
		{"http+unix://%2Fvar%2Frun%2Fdocker.sock/", "", ""},
		{"ftp://api.example.com/", "1.1.1.1", ""},
		{"//api.example.com/", "1.1.1.1", ""},
		{"api.example.com", "1.1.1.1", ""},
		{"http:api.example.com", "1.1.1.1", ""},
		{"http:///api.example.com", "1.1.1.1", ""},
		{"http://:80/", "1.1.1.1", ""},
		{"http://api.example.com:0x50/", "1.1.1.1", ""},
		{"http://api.example.com:80:80/", "1.1.1.1", ""},
		{"http://api.example.com:99999999999/", "1.1.1.1", ""},
		{"http://api.example.com:22/", "1.1.1.1", ""},
		// Requests in requests.
		{"http://api.example.com/\r\nHost: evil.test\r\n\r\n", "1.1.1.1", ""},
		{"http://api.example.com\r\n.evil.test/", "1.1.1.1", ""},
		{"http://api.example.com /", "1.1.1.1", ""},
		{"http://api.example.com/\x00", "1.1.1.1", ""},
		{" http://api.example.com/", "1.1.1.1", ""},
		{"\thttp://api.example.com/", "1.1.1.1", ""},
	} {
		hosts := []string{list}
		if trick.listed != "" {
			if _, err := parseHost(trick.listed); err == nil {
				hosts = append(hosts, trick.listed)
			}
		}
		if trick.resolve == "" {
			trick.resolve = "127.0.0.1"
		}
		a := newAsker(t, resolve(t, trick.resolve), hosts...)
		_, err := a.call(t.Context(), http.MethodGet, trick.address, nil)
		if err == nil || len(a.dialed) > 0 || errors.Is(err, errDialed) {
			t.Errorf("%q as %s, with %q on the list: %v, and dialled %s", trick.address, trick.resolve, hosts, err, a.dialed)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\x00") {
			t.Errorf("%q: the error is %q", trick.address, err)
		}
	}
	// The net they are caught in has a hole for what is right.
	for _, address := range []string{"http://api.example.com/", "https://api.example.com", "http://API.example.com.:80/x?y=z#f", "http://api.example.com/%0d%0aHost:%20evil.test"} {
		a := newAsker(t, resolve(t, "1.1.1.1"), list)
		if _, err := a.call(t.Context(), http.MethodGet, address, nil); !errors.Is(err, errDialed) || len(a.dialed) != 1 || a.dialed[0] != netip.MustParseAddr("1.1.1.1") {
			t.Errorf("%s: %v, and dialled %s", address, err, a.dialed)
		}
	}
}

// TestRebinding: a name that is public when it is looked up first, and private the next time, is refused then. Nothing is
// remembered of the first time, and each request is checked at its own connection.
func TestRebinding(t *testing.T) {
	t.Parallel()
	a := newAsker(t, resolve(t, "1.1.1.1", "127.0.0.1", "1.1.1.1", "169.254.169.254"), "rebind.example.com")
	for i, public := range []bool{true, false, true, false, false} {
		before := len(a.dialed)
		_, err := a.call(t.Context(), http.MethodGet, "http://rebind.example.com/", nil)
		if public != errors.Is(err, errDialed) || public != (len(a.dialed) > before) || !public && !strings.Contains(err.Error(), "no public address") {
			t.Errorf("request %d: %v, and dialled %s", i, err, a.dialed)
		}
	}
}

// TestRedirectsIntoPrivateNetworks: a redirect is checked like the request before it, at its own connection, even where the list
// has the name. The host that is asked first is made a public one for this test.
func TestRedirectsIntoPrivateNetworks(t *testing.T) {
	t.Parallel()
	var target atomic.Value
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.Load().(string), http.StatusFound)
	}))
	defer public.Close()
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the private service was asked")
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "success"})
	}))
	defer secret.Close()
	_, port, _ := net.SplitHostPort(secret.Listener.Addr().String())
	h := &HTTP{AllowedHosts: []string{"public.example.com", "*.example.com:" + port, "127.0.0.1:" + port, "[::1]:" + port, "localhost:" + port}, resolver: resolve(t, "127.0.0.1")}
	if err := h.complete(); err != nil {
		t.Fatal(err)
	}
	dial := h.client.Transport.(*http.Transport).DialContext
	h.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "public.example.com:80" {
			return new(net.Dialer).DialContext(ctx, network, public.Listener.Addr().String())
		}
		return dial(ctx, network, address)
	}
	for _, to := range []string{
		"http://127.0.0.1:" + port, "http://localhost:" + port, "http://[::1]:" + port, "http://private.example.com:" + port, "//127.0.0.1:" + port + "/",
		"http://evil.test/", "gopher://127.0.0.1:" + port, "http://u:p@127.0.0.1:" + port, "/again", "http://127.0.0.1:" + port + "/\r\nX: y",
	} {
		target.Store(to)
		if _, err := h.call(t.Context(), http.MethodGet, "http://public.example.com/", nil); err == nil {
			t.Errorf("%q was followed", to)
		}
	}
}

// FuzzHTTPTarget: whatever the URL, and whatever its host's name is resolved to, what is connected to is a public address and
// the host is the one that the list has.
func FuzzHTTPTarget(f *testing.F) {
	for _, address := range []string{
		"http://0x7f.1/", "http://127.1/", "http://[::ffff:127.0.0.1]/", "http://localhost./", "http://①②⑦.0.0.1/", "http://u:p@example.com/", "http://169.254.169.254/",
		"http://example.com/\r\nX: y", "http://example.com:80/%0d%0a", "https://example.com", "http://[::1%25lo]/", "http://1.1.1.1@10.0.0.1/", `http://1.1.1.1\@10.0.0.1/`, "http://example.com#@1.1.1.1",
		"http://[fe80::1%25eth0]/", "http://[2002:7f00:1::]:8080/", "HTTP://EXAMPLE.COM:080/", "http://%31%32%37.0.0.1/", "http://example.com:/", "http://2606:4700::1/", "http://[2606:4700::1]:443/",
	} {
		for _, ip := range []string{"\x01\x01\x01\x01", "\x7f\x00\x00\x01", "\x0a\x00\x00\x01", "\xa9\xfe\xa9\xfe", strings.Repeat("\x00", 15) + "\x01", strings.Repeat("\x00", 10) + "\xff\xff\x7f\x00\x00\x01", "\x26\x06\x47" + strings.Repeat("\x01", 13)} {
			f.Add(address, "example.com", []byte(ip))
		}
	}
	f.Add("http://www.example.com/", "*.example.com", []byte("\x01\x01\x01\x01"))
	f.Fuzz(func(t *testing.T, address, listed string, ip []byte) {
		if len(address) > 1000 || len(listed) > 300 {
			t.Skip()
		}
		resolved, ok := netip.AddrFromSlice(ip)
		if !ok {
			resolved = netip.MustParseAddr("1.1.1.1")
		}
		hosts := []string{"1.1.1.1", "[2606:4700::1]:443"}
		if _, err := parseHost(listed); err == nil {
			hosts = append(hosts, listed)
		}
		if u, err := url.Parse(address); err == nil {
			if _, err := parseHost(u.Host); err == nil {
				hosts = append(hosts, u.Host) // somebody was careless
			}
		}
		a := newAsker(t, resolve(t, resolved.String()), hosts...)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := a.call(ctx, http.MethodGet, address, nil)
		if err == nil {
			t.Fatalf("%q was answered", address)
		}
		for _, d := range a.dialed {
			if d4 := d.Unmap(); d4.IsLoopback() || d4.IsPrivate() || d4.IsLinkLocalUnicast() || d4.IsMulticast() || d4.IsUnspecified() || !d4.IsGlobalUnicast() || d.Zone() != "" {
				t.Errorf("%q was dialled at %s", address, d)
			}
			u, err := url.Parse(address)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.ContainsAny(u.Host, " \r\n\x00@/\\") {
				t.Errorf("%q was dialled", address)
			}
		}
	})
}
