//go:build unix

package rabbitmq

import (
	"net"
	"syscall"
)

// nowait writes to a socket what that takes without waiting. It is not safe for concurrent use.
type nowait struct {
	socket syscall.RawConn
	try    func(fd uintptr) bool
	p      []byte // to be written
	n      int    // of which was
}

// newNowait returns nil for a connection that is no socket, such as one with TLS.
func newNowait(conn net.Conn) *nowait {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	socket, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	w := &nowait{socket: socket}
	w.try = func(fd uintptr) bool {
		w.n, _ = syscall.Write(int(fd), w.p)
		return true // rather than be called again when it takes more
	}
	return w
}

// write returns how many bytes it has written. An error shows when the rest is.
func (w *nowait) write(p []byte) int {
	w.p, w.n = p, 0
	err := w.socket.Write(w.try)
	w.p = nil
	if err != nil {
		return 0
	}
	return max(w.n, 0)
}
