package sqlite

import (
	"context"
	"fmt"
	"time"
)

// A database that processes of two machines use is soon destroyed: neither sees
// the other's locks. Network file systems are refused when it is opened; this
// is for those that can't be told from local ones, such as a disk that two
// virtual machines have mounted.
//
// A row of another machine in proc may be of a process that lives there, or of one that died with its
// machine, or before this one was started again. So it is asked for an answer: its port
// becomes questioned, and a process that lives and finds its row so writes it anew. Until the answer, or the
// time for it has passed, this process takes no messages and accepts none.

const (
	// questioned is the port in the row of a process that is asked whether it lives.
	questioned = -1
	// answerTime is how long a process of another machine has to answer. A live one looks every second.
	answerTime = 4 * time.Second
)

// suspect stops the work of this process, because a process of another machine may use the database.
func (w *writer) suspect(host string) {
	w.stop(fmt.Errorf("%s may be in use on another machine (%s), where file locks don't reach; that is being found out", w.location.path, host))
}

// stop stops the work of this process until elsewhere is nil again.
func (w *writer) stop(err error) {
	w.elsewhere.Store(&err)
	w.hinder(err)
}

// lookElsewhere finds out whether processes of other machines use the database.
func (p *presence) lookElsewhere(ctx context.Context, db *database, known map[int64]owner) error {
	w := p.transport.writer
	suspects := false
	for id, o := range known {
		if id == p.owner || !w.doorbell.machine.isAnother(o.machine) {
			continue
		}
		suspects = true
		if err := p.question(ctx, db, id, o); err != nil {
			return err
		}
	}
	for id := range p.asked {
		if _, there := known[id]; !there {
			delete(p.asked, id)
		}
	}
	if !suspects && w.elsewhere.Swap(nil) != nil {
		w.mu.Lock()
		w.beginConsumers()
		w.mu.Unlock()
		w.wakeUp()
	}
	return nil
}

// question asks a process of another machine whether it lives, and takes its answer.
func (p *presence) question(ctx context.Context, db *database, id int64, o owner) error {
	w := p.transport.writer
	asked, waits := p.asked[id]
	held := isHeld(ownerPath(db, id))
	switch {
	case held || waits && o.port != questioned:
		err := &refusalError{fmt.Errorf("it is in use on another machine too (%s), and would be destroyed: a database is for the processes of one machine; several need a server, such as RabbitMQ", o.machine.host)}
		w.refuse(explainOpen(w.location.path, err))
		if held {
			return nil
		}
	case waits:
		if time.Since(asked) > answerTime {
			p.asked[id] = time.Time{} // it is examined like any other
		}
		return nil
	case w.elsewhere.Load() == nil:
		w.suspect(o.machine.host)
	}
	if err := w.do(ctx, &question{id}); err != nil {
		return err
	}
	if p.asked == nil {
		p.asked = map[int64]time.Time{}
	}
	p.asked[id] = time.Now()
	return nil
}

// mayAnswer says whether the process was asked, and has time left.
func (p *presence) mayAnswer(id int64) bool { return !p.asked[id].IsZero() }

// refuse stops the work of this process, and tells the consumers that have not begun.
func (w *writer) refuse(err error) {
	w.stop(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.consumers {
		c.refuse(err)
	}
}

// A question asks a process of another machine whether it lives.
type question struct{ owner int64 }

func (q *question) apply(t *tx) error {
	_, err := t.exec(`UPDATE proc SET port = ? WHERE owner = ?`, questioned, q.owner)
	return err
}
