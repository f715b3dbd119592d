package rabbitmq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// frameSize is the broker's largest frame by default. A message's properties and headers must fit
// into one.
const frameSize = 128 << 10

// largestFrame is the largest that is accepted where the broker allows it: who sends with more
// than the default can put headers into a message that don't fit into a smaller one.
const largestFrame = 16 << 20

// closeTimeout bounds the farewell to the broker; a blocked or dead one does not answer.
const closeTimeout = time.Second

// dialer opens connections to the hosts of a broker in turn.
type dialer struct {
	address *address
	turn    atomic.Uint32
	tap     func(net.Conn) net.Conn // of tests that count what goes over the wire; nil: none
}

// dial opens one connection within ctx and the connect timeout. name is shown by the broker's tools.
func (d *dialer) dial(ctx context.Context, name string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, d.address.connectTimeout)
	defer cancel()
	host := d.address.hosts[int(d.turn.Add(1)-1)%len(d.address.hosts)]
	conn, err := d.dialHost(ctx, host, name)
	if err != nil {
		return nil, &dialError{host: host, user: d.address.user, vhost: d.address.vhost, err: err}
	}
	return conn, nil
}

func (d *dialer) dialHost(ctx context.Context, host, name string) (*connection, error) {
	raw, err := d.dialSocket(ctx, host)
	if err != nil {
		return nil, err
	}
	if d.tap != nil {
		raw = d.tap(raw)
	}
	frames := newFrameReader(raw)
	socket := newCoalescer(frames, raw)
	// The library heeds no context during the handshake: closing the socket ends it.
	release := context.AfterFunc(ctx, func() { _ = raw.Close() })
	config := amqp.Config{
		Vhost:      d.address.vhost,
		Heartbeat:  d.address.heartbeat,
		FrameSize:  largestFrame,
		Locale:     "en_US",
		Properties: amqp.Table{"product": "taskgen", "platform": "Go", "connection_name": name},
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: d.address.user, Password: d.address.password}},
	}
	if d.address.external {
		config.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	}
	conn, err := amqp.Open(socket, config)
	if !release() {
		err = fmt.Errorf("the broker did not finish the handshake in time: %w", context.Cause(ctx))
	}
	if err != nil {
		_ = raw.Close()
		_ = socket.Close()
		return nil, err
	}
	frames.limit.Store(int64(conn.Config.FrameSize))
	c := newConnection(conn, raw, frames, socket)
	c.declaring = d.address.declaring
	return c, nil
}

// connectPatience bounds the wait for an address to answer at all. Where a network swallows everything, another try
// comes sooner through once it is back than the kernel does, whose pauses grow.
const connectPatience = 2 * time.Second

// dialTCP tries the addresses of a host one after the other.
func dialTCP(ctx context.Context, host string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	tcp := net.Dialer{Timeout: connectPatience}
	for _, address := range addresses {
		var conn net.Conn
		if conn, err = tcp.DialContext(ctx, "tcp", net.JoinHostPort(address, port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (d *dialer) dialSocket(ctx context.Context, host string) (net.Conn, error) {
	raw, err := dialTCP(ctx, host)
	if err != nil || d.address.tls == nil {
		return raw, err
	}
	config := d.address.tls
	if d.address.serverNameInHost {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(host)
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return secure, nil
}

// dialError says which host could not be reached and why.
type dialError struct {
	host, user, vhost string
	err               error
}

func (e *dialError) Error() string {
	if e.refused() {
		return fmt.Sprintf("the broker at %s refuses user %q on virtual host %q: %v (check the user, password, and permissions in the broker URL)",
			e.host, e.user, e.vhost, e.err)
	}
	return fmt.Sprintf("no connection to the broker at %s: %v", e.host, e.err)
}

func (e *dialError) Unwrap() error { return e.err }

// Is makes errors.Is(err, task.ErrRefused) true for a refused login.
func (e *dialError) Is(target error) bool { return target == task.ErrRefused && e.refused() }

// refused says that the broker was reached and does not want us.
func (e *dialError) refused() bool {
	var reply *amqp.Error
	return errors.As(e.err, &reply) && (reply.Code == amqp.AccessRefused || reply.Code == amqp.NotAllowed)
}

// refusals tells a refused login from a connection that broke during the login:
// RabbitMQ answers both with a closed socket. Two in a row are a refusal; or
// one, if the broker has said so.
type refusals struct {
	inRow int
}

func (r *refusals) refused(err error) bool {
	var failed *dialError
	if !errors.As(err, &failed) || !failed.refused() {
		r.inRow = 0
		return false
	}
	r.inRow++
	var reply *amqp.Error
	return r.inRow > 1 || errors.As(err, &reply) && reply.Server
}

// connection is a live connection and the news of its end.
type connection struct {
	*amqp.Connection
	socket net.Conn
	frames *frameReader
	writes *coalescer
	since  time.Time
	done   chan struct{} // closed at the end
	cause  error         // valid once done is closed

	declaring declaring

	opening sync.Mutex // held while a channel is opened
}

// Channel opens a channel.
func (c *connection) Channel() (*amqp.Channel, error) {
	ch, _, err := c.openChannelID()
	return ch, err
}

// openChannelID opens a channel, and says which number it has: the library doesn't.
func (c *connection) openChannelID() (*amqp.Channel, uint16, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	ch, err := c.Connection.Channel()
	return ch, uint16(c.frames.opened.Load()), err
}

func newConnection(conn *amqp.Connection, socket net.Conn, frames *frameReader, writes *coalescer) *connection {
	c := &connection{Connection: conn, socket: socket, frames: frames, writes: writes, since: time.Now(), done: make(chan struct{})}
	closes := conn.NotifyClose(make(chan *amqp.Error, 1))
	go func() {
		c.cause = amqp.ErrClosed
		if err := <-closes; err != nil {
			c.cause = err
		}
		close(c.done)
	}()
	return c
}

// alive says whether the connection has not ended yet.
func (c *connection) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// atLeast says whether the broker has this version or a newer one. One that does not tell hasn't.
func (c *connection) atLeast(major, minor int) bool {
	version, _ := c.Properties["version"].(string)
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	m, _ := strconv.Atoi(parts[0])
	n, _ := strconv.Atoi(parts[1])
	return m > major || m == major && n >= minor
}

// shut says goodbye to the broker and closes the connection, whatever state it is in.
func (c *connection) shut() {
	_ = c.CloseDeadline(time.Now().Add(closeTimeout))
	_ = c.socket.Close()
	<-c.done
}

// sever closes the socket without a farewell. It never waits; calls under way
// on the connection fail.
func (c *connection) sever() { _ = c.socket.Close() }

// code returns the reply code of a broker's exception, or 0.
func code(err error) int {
	if reply, ok := errors.AsType[*amqp.Error](err); ok {
		return reply.Code
	}
	return 0
}

// lost says whether err means that a connection or channel is gone, rather
// than that the broker has answered with a refusal.
func lost(err error) bool {
	if errors.Is(err, task.ErrUnroutable) {
		return false
	}
	var reply *amqp.Error
	if !errors.As(err, &reply) {
		return true
	}
	return !reply.Server || reply.Code == amqp.ConnectionForced || reply.Code == amqp.InternalError
}
