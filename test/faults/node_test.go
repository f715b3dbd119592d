package faults

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

const script = "../../scripts/rabbitmq.sh"

// node is a RabbitMQ to be hurt.
type node struct {
	place
	t    testing.TB
	name string
}

// ownNode starts a node under a name that is this process's own, and stops it after the test.
func ownNode(t testing.TB, name string) *node {
	t.Helper()
	sharedBroker(t)
	if testing.Short() {
		t.Skip("starts a RabbitMQ node of its own: not with -short")
	}
	if _, err := os.Stat("/usr/lib/rabbitmq/bin/rabbitmqctl"); err != nil {
		t.Skip("needs an installed RabbitMQ, to start a node of its own: scripts/rabbitmq.sh start")
	}
	n := &node{t: t, name: fmt.Sprintf("faults-%s-%d", name, os.Getpid())}
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", n.name).CombinedOutput(); err != nil {
			t.Errorf("stopping the node: %v\n%s", err, out)
		}
	})
	n.start()
	return n
}

func (n *node) start() {
	n.t.Helper()
	out, err := exec.Command(script, "start", n.name).Output()
	if err != nil {
		n.t.Fatalf("starting a node: %v", err)
	}
	url := strings.TrimSpace(string(out))
	n.place = place{name: "RabbitMQ", url: url, direct: url}
}

// ctl runs rabbitmqctl.
func (n *node) ctl(args ...string) string {
	n.t.Helper()
	out, err := exec.Command(script, append([]string{"ctl", n.name}, args...)...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// kill is kill -9 of the node.
func (n *node) kill() {
	n.t.Helper()
	if out, err := exec.Command(script, "kill", n.name).CombinedOutput(); err != nil {
		n.t.Fatalf("killing the node: %v\n%s", err, out)
	}
}

// outage hurts the node and says when its port was open again.
func (n *node) outage(hurt func()) (open time.Time) {
	n.t.Helper()
	u, err := url.Parse(n.direct)
	if err != nil {
		n.t.Fatal(err)
	}
	stop := make(chan struct{})
	var lookout sync.WaitGroup
	wasClosed := false
	lookout.Go(func() {
		for {
			conn, err := net.DialTimeout("tcp", u.Host, time.Second)
			switch {
			case err != nil:
				wasClosed, open = true, time.Time{}
			case open.IsZero():
				open = time.Now()
				fallthrough
			default:
				conn.Close()
			}
			select {
			case <-stop:
				if err == nil {
					return
				}
			default:
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	hurt()
	close(stop)
	lookout.Wait()
	if !wasClosed {
		n.t.Error("the port was open all the time")
	}
	return open
}

// party is several scenarios that share the faults of a node, so that these, which take long, happen once.
type party struct {
	node    *node
	mu      sync.Mutex
	changed *sync.Cond
	members int
	arrived int
	rounds  int
	open    time.Time
}

func newParty(n *node, members int) *party {
	p := &party{node: n, members: members}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// join is called by each member before anything else.
func (p *party) join(t *testing.T) { t.Cleanup(p.leave) }

func (p *party) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members--
	p.changed.Broadcast()
}

// outage waits until every member calls it, hurts the node once, and says when its port was open again.
func (p *party) outage(hurt func(*node)) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived++
	p.changed.Broadcast()
	for round := p.rounds; p.rounds == round; {
		if p.arrived < p.members {
			p.changed.Wait()
			continue
		}
		// The others stay in Wait, since they can't have the lock.
		p.open = p.node.outage(func() { hurt(p.node) })
		p.arrived, p.rounds = 0, p.rounds+1
		p.changed.Broadcast()
	}
	return p.open
}

// stopAndStart stops the broker in order for 3 s.
func stopAndStart(n *node) {
	n.ctl("stop_app")
	time.Sleep(3 * time.Second)
	n.ctl("start_app")
}

// killAndStart kills the node and starts it again.
func killAndStart(n *node) {
	n.kill()
	n.start()
}
