package faults

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// most memory that the worker may take, and processor time and log when it has nothing to do.
	mostMemory = 256 << 20
	mostIdle   = 0.05
	mostLog    = 1000 // bytes a second

	neighbours = 9
	// secret is in every body that can hold a text, and must not be in the log.
	secret = "s3cret-of-the-body"
)

// Every message that should never have been sent hurts nobody but itself: it is parked with the bytes that it came
// with, and why; and its caller is told.
func TestPoison(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		w := newWorld(t, "poison", p)
		w.row.longestCall = -1
		gate := filepath.Join(w.folder, "gate")
		worker := w.start("poisoned", "-c", fmt.Sprint(neighbours+4), "-accept", "msgpack,json,yaml,gob")
		w.workers = append(w.workers, worker)
		w.ready(worker)
		w.startNeighbours(gate)
		well := newWell(w)
		var table strings.Builder
		kinds := 0
		for _, k := range poisons() {
			if only := os.Getenv("TASKGEN_FAULTS_POISON"); !strings.Contains(k.name, only) {
				continue
			}
			if k.amqp && !p.isRabbitMQ() || k.embedded && p.isRabbitMQ() || k.slow && !long {
				continue
			}
			kinds++
			begin := time.Now()
			worker.forgetHighestMemory()
			found, err := well.poison(k)
			if err != nil {
				t.Errorf("%s: %v", k.name, err)
			}
			w.send(sending{tasks: 2, senders: 1, client: well.client}).wait()
			w.await("good tasks after "+k.name, func() bool { return w.ledger.tally().lost <= neighbours })
			if !worker.alive() {
				t.Fatalf("%s: the worker has exited with %d", k.name, worker.code)
			}
			memory := worker.highestMemory()
			if !raceDetector && memory > mostMemory {
				t.Errorf("%s: the worker took %d MiB of memory", k.name, memory>>20)
			}
			fmt.Fprintf(&table, "| %s | %s | 0 | 0 | 2 of 2 | %d MiB | %d ms\n", k.name, found, memory>>20, time.Since(begin).Milliseconds())
		}
		w.sendMany(100, nil)
		w.await("100 good tasks", func() bool { return w.ledger.tally().lost <= neighbours })
		if n := len(w.ledger.running(worker.pid())); n != neighbours {
			t.Errorf("%d of %d neighbours run", n, neighbours)
		}
		cpu, log := worker.idle(pick(time.Second, 5*time.Second))
		if long && cpu > mostIdle { // the race detector takes its own
			t.Errorf("the idle worker takes %.0f %% of a processor", cpu*100)
		}
		if log > mostLog {
			t.Errorf("the idle worker logs %.0f bytes a second", log)
		}
		checkLog(t, worker.log())
		well.empty()
		w.check(os.WriteFile(gate, nil, 0o600))
		w.finish()
		w.atMost("started twice, neighbours among them", w.row.startedTwice, 0)
		w.remarkf("%d kinds, 0 exits, %d starts of %d neighbours, idle %.1f %% of a processor and %.0f bytes of log a second", kinds, neighbours, neighbours, cpu*100, log)
		t.Logf("| kind | outcome | worker exits | neighbours restarted | good after | memory |\n| --- | --- | --- | --- | --- | --- |\n%s", &table)
	})
}

// startNeighbours starts tasks that run until there is a file.
func (w *world) startNeighbours(gate string) {
	w.Helper()
	ctx := task.WithClient(w.ctx, w.client())
	first := w.numbers(neighbours)
	for i := range neighbours {
		w.check(w.ledger.note(accepted, first+i))
		_, err := neighbour(w.queue).Delay(ctx, job{Number: first + i, Do: gate})
		w.check(err)
	}
	w.await("the neighbours run", func() bool { return w.ledger.tally().started == neighbours })
}

// forgetHighestMemory has highestMemory begin anew.
func (p *process) forgetHighestMemory() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid()), []byte("5"), 0)
}

// idle says which part of a processor the process takes, and how many bytes a second it logs, over some time.
func (p *process) idle(over time.Duration) (cpu, log float64) {
	p.Helper()
	used, length := p.processorTime(), len(p.log())
	time.Sleep(over)
	return (p.processorTime() - used).Seconds() / over.Seconds(), float64(len(p.log())-length) / over.Seconds()
}

// checkLog wants one record a line, without what was in the bodies.
func checkLog(t *testing.T, log string) {
	t.Helper()
	if strings.Contains(log, secret) {
		t.Error("the log has a text of a body")
	}
	_, records, _ := strings.Cut(log, "\ntime=")
	for line := range strings.Lines("time=" + records) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "time=") || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the log has the line %.300q", line)
		}
		if len(line) > 24<<10 {
			t.Errorf("the log has a line of %d bytes: %.100q", len(line), line)
		}
	}
}

// well is where poison goes in, and what becomes of it comes out.
type well struct {
	*world
	client *task.Client
	id     string // of the newest message
	// On RabbitMQ only:
	channel *amqp.Channel
	reply   string
	replies <-chan amqp.Delivery
	dead    <-chan amqp.Delivery
}

func newWell(w *world) *well {
	w.Helper()
	s := &well{world: w, client: w.client()}
	if !w.isRabbitMQ() {
		return s
	}
	conn, err := amqp.DialConfig(w.direct, amqp.Config{Dial: dialForging})
	w.check(err)
	w.Cleanup(func() { conn.Close() })
	s.channel, err = conn.Channel()
	w.check(err)
	w.check(s.channel.Confirm(false))
	replies, err := s.channel.QueueDeclare("", false, true, true, false, nil)
	w.check(err)
	s.reply = replies.Name
	s.replies, err = s.channel.Consume(s.reply, "", true, true, false, false, nil)
	w.check(err)
	return s
}

// poison sends one message and says what became of it.
func (s *well) poison(k poison) (found string, err error) {
	s.id = uuid.NewString()
	m := k.message(s.id)
	m.Queue = s.queue
	if err := s.publish(m, k); err != nil {
		return "", fmt.Errorf("can't be sent: %w", err)
	}
	if k.dead != "" {
		dead, err := s.parked()
		switch {
		case err != nil:
			return "", err
		case dead.Reason != k.dead:
			return dead.Reason, fmt.Errorf("parked as %s: %.200s; want %s", dead.Reason, dead.Error, k.dead)
		case !bytes.Equal(dead.Message.Body, m.Body):
			return dead.Reason, fmt.Errorf("parked with a body of %d bytes instead of %d", len(dead.Message.Body), len(m.Body))
		case strings.Contains(dead.Error, secret):
			return dead.Reason, fmt.Errorf("the error tells what is in the body: %s", dead.Error)
		}
		found = dead.Reason
	}
	if k.unanswered {
		return found, nil
	}
	result, err := s.result(m.ID)
	if err != nil {
		return found, err
	}
	if found == "" {
		found = "failure"
	}
	want := "FAILURE"
	switch {
	case k.revoked:
		want, found = "REVOKED", "revoked"
	case k.runs:
		want, found = "SUCCESS", "runs"
	}
	if !bytes.Contains(result, []byte(want)) || !bytes.Contains(result, []byte(k.failure)) {
		return found, fmt.Errorf("want %s with %q, the result is %.300q", want, k.failure, result)
	}
	return found, nil
}

func (s *well) publish(m *task.Message, k poison) error {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if !s.isRabbitMQ() {
		return s.client.Transport().Publish(ctx, m)
	}
	p := amqp.Publishing{
		Headers: table(m.Headers), ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: amqp.Persistent,
		CorrelationId: m.ID, ReplyTo: s.reply, Body: m.Body, Priority: m.Priority,
	}
	if k.reply != "" {
		p.ReplyTo = k.reply
	}
	confirmation, err := s.channel.PublishWithDeferredConfirmWithContext(ctx, "", s.queue, true, false, p)
	if err != nil {
		return err
	}
	taken, err := confirmation.WaitContext(ctx)
	if err == nil && !taken {
		err = fmt.Errorf("the broker has refused it")
	}
	return err
}

// table is headers as the AMQP library wants them.
func table(headers map[string]any) amqp.Table {
	out := make(amqp.Table, len(headers))
	for name, value := range headers {
		out[name] = field(value)
	}
	return out
}

func field(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return table(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = field(v[i])
		}
		return out
	}
	return value
}

// parked takes the next dead letter.
func (s *well) parked() (dead *task.DeadMessage, err error) {
	if !s.isRabbitMQ() {
		found := s.eventually(patience, func() bool {
			err = s.client.Transport().DeadLetters(s.ctx, s.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
				dead = d
				return task.DropDead, nil
			})
			return err != nil || dead != nil
		})
		if err == nil && !found {
			err = fmt.Errorf("it was not parked")
		}
		return dead, err
	}
	if s.dead == nil {
		s.await("the dead letters have a queue", func() bool {
			channel := s.admin()
			s.dead, err = channel.Consume(s.queue+".dead", "", true, true, false, false, nil)
			return err == nil
		})
	}
	select {
	case d := <-s.dead:
		text := func(name string) string {
			text, _ := d.Headers[name].(string)
			return text
		}
		return &task.DeadMessage{
			DeadLetter: task.DeadLetter{Reason: text("x-taskgen-reason"), Error: text("x-taskgen-error")},
			Message:    &task.Message{Body: d.Body},
		}, nil
	case <-time.After(patience):
		return nil, fmt.Errorf("it was not parked")
	}
}

// result is the message of a final result.
func (s *well) result(id string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if !s.isRabbitMQ() {
		r, err := s.client.Transport().AwaitResult(ctx, id)
		if err != nil {
			return nil, err
		}
		return r.Body, nil
	}
	for {
		select {
		case d := <-s.replies:
			if d.CorrelationId == id {
				return d.Body, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("the caller was not told")
		}
	}
}

// empty wants no dead letter that nobody has asked for.
func (s *well) empty() {
	s.Helper()
	if s.dead != nil {
		select {
		case d := <-s.dead:
			s.Errorf("more was parked than should be: %v", d.Headers)
		default:
		}
		return
	}
	err := s.client.Transport().DeadLetters(s.ctx, s.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		s.Errorf("more was parked than should be: %s %s", d.Reason, d.Error)
		return task.DropDead, nil
	})
	s.check(err)
}

// forged is an int64 that is written with the letter that Python has for it, which the AMQP library has not.
const forged = int64(0x4c4c4c4c4c4c4c4c)

// dialForging makes connections that write forged numbers.
func dialForging(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	return forger{conn}, err
}

type forger struct{ net.Conn }

func (f forger) Write(b []byte) (int, error) {
	const number = "LLLLLLLL"
	return f.Conn.Write(bytes.ReplaceAll(b, []byte("l"+number), []byte("L"+number)))
}
