package sqlite

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A doorbell wakes the other processes that use the database, and is woken by
// them: a datagram over the loopback interface for each transaction that
// concerns them. The table proc says where.
type doorbell struct {
	machine machine

	mu     sync.Mutex
	socket *net.UDPConn // nil until needed
	deaf   bool         // there can be no socket here, or no more

	// listed says that proc has a row of this process.
	listed atomic.Bool
}

func newDoorbell() *doorbell { return &doorbell{machine: thisMachine()} }

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

// ring sends the news to ports. Failing to reach somebody only costs him a second.
func (d *doorbell) ring(news ring, ports []uint16) {
	if len(ports) == 0 {
		return
	}
	socket := d.open()
	if socket == nil {
		return
	}
	datagram := news.marshal()
	for _, port := range ports {
		_, _ = socket.WriteToUDPAddrPort(datagram, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	}
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
