package rabbitmq

import "net"

// Tap puts tap between the transport and each of its sockets, from the next connection on.
func (t *Transport) Tap(tap func(net.Conn) net.Conn) { t.dialer.tap = tap }
