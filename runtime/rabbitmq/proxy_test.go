package rabbitmq_test

import (
	"net"
	"net/url"
	"regexp"
	"sync"
	"testing"
)

// proxy stands between a transport and the broker, and does what networks do.
type proxy struct {
	t        testing.TB
	target   string // host:port
	address  string
	url      string
	group    sync.WaitGroup
	mu       sync.Mutex
	moved    *sync.Cond // hole or down have changed
	listener net.Listener
	conns    map[net.Conn]struct{}
	hole     bool // nothing goes through, nobody is told
	down     bool
	// told is what one side says, pretends what arrives at the other.
	told     *regexp.Regexp
	pretends string
}

// newProxy starts a proxy to the broker of a URL.
func newProxy(t testing.TB, broker string) *proxy {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, target: u.Host, conns: make(map[net.Conn]struct{})}
	p.moved = sync.NewCond(&p.mu)
	p.up()
	u.Host = p.address
	p.url = u.String()
	t.Cleanup(func() {
		p.takeDown()
		p.group.Wait()
	})
	return p
}

// up listens, on the same address every time.
func (p *proxy) up() {
	p.t.Helper()
	address := p.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener, p.address, p.down = l, l.Addr().String(), false
	p.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.group.Go(func() { p.serve(conn) })
		}
	})
}

// takeDown cuts everything and refuses connections until up.
func (p *proxy) takeDown() {
	p.mu.Lock()
	p.listener.Close()
	p.down = true
	p.moved.Broadcast()
	p.mu.Unlock()
	p.cut()
}

// cut resets all connections, and says how many there were.
func (p *proxy) cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns)
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		delete(p.conns, c)
	}
	return n / 2
}

// pretend replaces words on their way, which must not change their length.
func (p *proxy) pretend(told, instead string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told, p.pretends = regexp.MustCompile(told), instead
}

func (p *proxy) setHole(hole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = hole
	p.moved.Broadcast()
}

// add tracks a connection; it is closed at once if the proxy is down.
func (p *proxy) add(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		c.Close()
		return
	}
	p.conns[c] = struct{}{}
}

func (p *proxy) serve(client net.Conn) {
	p.add(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		p.drop(client)
		return
	}
	p.add(server)
	p.group.Go(func() { p.copy(server, client) })
	p.copy(client, server)
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *proxy) copy(to, from net.Conn) {
	defer p.drop(to)
	defer p.drop(from)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.hole && !p.down {
			p.moved.Wait()
		}
		out := buffer[:n]
		if p.told != nil {
			out = p.told.ReplaceAll(out, []byte(p.pretends))
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(out); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
