package worker

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// gate is a way to a broker that can be shut.
type gate struct {
	*testing.T
	target, address string
	// url is the broker's, through the gate.
	url string

	mu       sync.Mutex
	listener net.Listener // nil: shut
	conns    []net.Conn
}

// newGate makes a gate that is shut.
func newGate(t *testing.T, broker string) *gate {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{T: t, target: u.Host, address: "127.0.0.1:0"}
	g.open()
	u.Host = g.address
	g.url = u.String()
	g.shut()
	t.Cleanup(g.shut)
	return g
}

func (g *gate) open() {
	g.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		g.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener, g.address = listener, listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(conn)
		}
	}()
}

// shut cuts all connections and refuses others.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return
	}
	g.listener.Close()
	g.listener = nil
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	open := g.listener != nil
	g.conns = append(g.conns, client, server)
	g.mu.Unlock()
	if !open {
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}
