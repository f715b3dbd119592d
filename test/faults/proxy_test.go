package faults

import (
	"bytes"
	"net"
	"net/url"

	"sync"
	"testing"
	"time"
)

// proxy stands between processes and the broker, and does what networks do.
type proxy struct {
	t       testing.TB
	target  string // host:port
	address string
	group   sync.WaitGroup

	mu       sync.Mutex
	moved    *sync.Cond // hole, deaf or down have changed
	listener net.Listener
	conns    map[net.Conn]struct{}
	dialled  int  // connections that there have been
	hole     bool // nothing goes through, nobody is told
	halfOpen bool // nothing comes back, nobody is told
	down     bool
	latency  time.Duration // one way
	rate     int           // bytes a second and direction; 0: no bound
}

// via puts a proxy in front of a RabbitMQ. options are those of the URL, such as "heartbeat=2".
func via(t testing.TB, p place, options string) (place, *proxy) {
	t.Helper()
	u, err := url.Parse(p.direct)
	if err != nil {
		t.Fatal(err)
	}
	x := &proxy{t: t, target: u.Host, conns: make(map[net.Conn]struct{})}
	x.moved = sync.NewCond(&x.mu)
	x.up()
	u.Host, u.RawQuery = x.address, options
	t.Cleanup(func() {
		x.takeDown()
		x.group.Wait()
	})
	p.url = u.String()
	return p, x
}

// up listens, on the same address every time.
func (x *proxy) up() {
	x.t.Helper()
	address := x.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		x.t.Fatal(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.listener, x.address, x.down = l, l.Addr().String(), false
	x.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			x.group.Go(func() { x.serve(conn) })
		}
	})
}

// takeDown cuts everything and refuses connections until up.
func (x *proxy) takeDown() {
	x.set(func() {
		x.listener.Close()
		x.down = true
	})
	x.cut()
}

// cut resets all connections, and says how many there were.
func (x *proxy) cut() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := len(x.conns) / 2
	for c := range x.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		delete(x.conns, c)
	}
	return n
}

// set changes what the network does.
func (x *proxy) set(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	x.moved.Broadcast()
}

// add tracks a connection; it is closed at once if the proxy is down.
func (x *proxy) add(c net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.down {
		c.Close()
		return
	}
	x.conns[c] = struct{}{}
}

func (x *proxy) drop(c net.Conn) {
	c.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.conns, c)
}

func (x *proxy) serve(client net.Conn) {
	x.add(client)
	x.set(func() { x.dialled++ })
	server, err := net.Dial("tcp", x.target)
	if err != nil {
		x.drop(client)
		return
	}
	x.add(server)
	x.group.Go(func() { x.carry(server, client, false) })
	x.carry(client, server, true)
}

// piece is what was read at once, and when it arrives.
type piece struct {
	bytes []byte
	due   time.Time
}

// carry carries what one side says to the other; back is the way from the broker. Latency delays a piece
// without holding up those behind it.
func (x *proxy) carry(to, from net.Conn, back bool) {
	defer x.drop(to)
	defer x.drop(from)
	pieces := make(chan piece, 1024)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer close(pieces)
	writer.Go(func() {
		failed := false
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			x.mu.Lock()
			for (x.hole || back && x.halfOpen) && !x.down {
				x.moved.Wait()
			}
			rate := x.rate
			x.mu.Unlock()
			if failed {
				continue
			}
			if rate > 0 {
				time.Sleep(time.Duration(len(p.bytes)) * time.Second / time.Duration(rate))
			}
			if _, err := to.Write(p.bytes); err != nil {
				from.Close()
				failed = true
			}
		}
	})
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			x.mu.Lock()
			due := time.Now().Add(x.latency)
			x.mu.Unlock()
			pieces <- piece{bytes.Clone(buffer[:n]), due}
		}
		if err != nil {
			return
		}
	}
}

// accepted is how many connections there have been.
func (x *proxy) accepted() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dialled
}
