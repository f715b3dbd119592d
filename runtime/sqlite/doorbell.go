package sqlite

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
)

// A doorbell wakes the other processes that use the database, and is woken by
// them: a datagram over the loopback interface for each transaction that
// concerns them. The table proc says where.
type doorbell struct {
	host string

	mu     sync.Mutex
	socket *net.UDPConn // nil until needed
	deaf   bool         // there can be no socket here, or no more

	// listed says that proc has a row of this process.
	listed atomic.Bool
}

func newDoorbell() *doorbell {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &doorbell{host: host}
}

// open returns the socket, and nil where UDP over loopback is forbidden: then
// everybody relies on polling.
func (d *doorbell) open() *net.UDPConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.socket == nil && !d.deaf {
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			d.deaf = true
			return nil
		}
		d.socket = socket
	}
	return d.socket
}

// port is where this process hears the bell, 0: nowhere.
func (d *doorbell) port() int {
	socket := d.open()
	if socket == nil {
		return 0
	}
	return socket.LocalAddr().(*net.UDPAddr).Port
}

// ring wakes the other processes. It runs after a commit, with the connection
// that wrote it; failing to reach somebody only costs him a second.
func (d *doorbell) ring(r ring, c *conn) {
	own := 0
	if d.listed.Load() {
		own = d.port()
	}
	var datagram []byte
	_ = c.query(`SELECT port FROM proc WHERE port <> 0 AND host = ?`, func(row row) error {
		port := int(row.int(0))
		if port == own || port < 0 || port > 0xffff {
			return nil
		}
		socket := d.open()
		if socket == nil {
			return errNoRing
		}
		if datagram == nil {
			datagram = r.marshal()
		}
		_, _ = socket.WriteToUDPAddrPort(datagram, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
		return nil
	}, d.host)
}

// listen calls heard for each ring, until close.
func (d *doorbell) listen(heard func(ring)) {
	socket := d.open()
	if socket == nil {
		return
	}
	buffer := make([]byte, 2*maxRing)
	for {
		n, _, err := socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // such as an ICMP message about a process that is gone
		}
		if r, err := parseRing(buffer[:n]); err == nil {
			heard(r)
		}
	}
}

func (d *doorbell) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = true
	if d.socket != nil {
		_ = d.socket.Close()
	}
}
