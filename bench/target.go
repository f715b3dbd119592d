package main

import (
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/bench/system"
)

// target is a figure that taskgen aims at: measured at one cell against another, within a round.
type target struct {
	what    string
	of      cell
	against cell // without a row: nothing, the figure itself counts
	metric  metric
	compare compare
	least   bool // the bound is the least, not the most
	bound   float64
}

type metric func(result) float64

func throughput(r result) float64 { return r.rate }
func p50(r result) float64        { return r.p50 }
func senderCPU(r result) float64  { return r.senderCPU }
func workerCPU(r result) float64  { return r.workerCPU }
func workerRSS(r result) float64  { return r.workerRSS }

// compare says how two figures are compared.
type compare int

const (
	ratio compare = iota
	difference
)

// targets are all that is aimed at.
func targets(rows []row) []target {
	all := slices.Concat(againstLimit(rows), againstItself(), embeddedTargets(), againstPeers())
	return slices.DeleteFunc(all, func(t target) bool { return !measured(rows, t.of) || t.against.row != "" && !measured(rows, t.against) })
}

func measured(rows []row, c cell) bool {
	return slices.ContainsFunc(rows, func(r row) bool {
		return r.name == c.row && slices.ContainsFunc(r.systems, func(s *system.System) bool { return s.Name == c.system })
	})
}

// againstLimit compares taskgen on RabbitMQ with the library that it is made with.
func againstLimit(rows []row) []target {
	var all []target
	for _, r := range rows {
		of, limit, single := cell{r.name, system.RabbitMQ.Name}, cell{r.name, system.AMQP.Name}, cell{r.name, system.AMQPSingle.Name}
		switch r.kind {
		case latency:
			all = append(all, target{what: r.name + ": p50 less the library's, in ms", of: of, against: limit, metric: p50, compare: difference, bound: 1.2})
			continue
		case enqueue:
			all = append(all,
				target{what: r.name + ": rate against the library's", of: of, against: limit, metric: throughput, least: true, bound: 0.95},
				target{what: r.name + ": CPU of the sender", of: of, against: limit, metric: senderCPU, bound: 1.15})
		default:
			all = append(all,
				target{what: r.name + ": rate against the library's", of: of, against: limit, metric: throughput, least: true, bound: 0.95},
				target{what: r.name + ": rate against the library's with single acks", of: of, against: single, metric: throughput, least: true, bound: 0.95},
				target{what: r.name + ": CPU of the worker", of: of, against: limit, metric: workerCPU, bound: 1.3})
		}
	}
	return append(all, target{
		what: enqueueBy(256) + ": rate against the library's, pipelined", least: true, bound: 0.95, metric: throughput,
		of: cell{enqueueBy(256), system.RabbitMQ.Name}, against: cell{enqueueMany, system.AMQP.Name},
	})
}

// againstItself compares rows of taskgen.
func againstItself() []target {
	all := []target{{
		what: "default prefetch against 256: rate", least: true, bound: 0.95, metric: throughput,
		of: cell{drainWith(10), system.RabbitMQ.Name}, against: cell{largePrefetch, system.RabbitMQ.Name},
	}}
	for _, s := range ours {
		all = append(all, target{
			what: s.Name + ", 8 workers against 2: rate", least: true, bound: 1, metric: throughput,
			of: cell{drainBy(8), s.Name}, against: cell{drainBy(2), s.Name},
		})
		for _, n := range growth[1:] {
			of, against, what := cell{drainOf(n), s.Name}, cell{drainOf(growth[0]), s.Name}, fmt.Sprintf("%s, %s queued against %s: ", s.Name, thousands(n), thousands(growth[0]))
			all = append(all,
				target{what: what + "rate", of: of, against: against, metric: throughput, least: true, bound: 1 / 1.2},
				target{what: what + "CPU of the worker", of: of, against: against, metric: workerCPU, bound: 1.2},
				target{what: what + "memory of the worker", of: of, against: against, metric: workerRSS, bound: 1.2})
		}
	}
	return all
}

// embeddedTargets are those of the embedded broker.
func embeddedTargets() []target {
	against := func(row string, bound float64) target {
		return target{
			what: "SQLite, " + row + ": rate against the library's, classic queue", least: true, bound: bound, metric: throughput,
			of: cell{row, system.SQLite.Name}, against: cell{row, system.AMQPClassic.Name},
		}
	}
	return []target{
		against(enqueueBy(1), 2), against(enqueueBy(16), 3), against(drainWith(10), 1),
		{what: "SQLite, " + steady + ": p50 in ms", of: cell{steady, system.SQLite.Name}, metric: p50, bound: 2.5},
	}
}

// againstPeers compares taskgen with the other task queues: those that fsync, in sending too.
func againstPeers() []target {
	var all []target
	for _, s := range ours {
		for _, peer := range []*system.System{system.Asynq, system.River, system.Celery} {
			add := func(row, what string, m metric, least bool) {
				all = append(all, target{
					what: fmt.Sprintf("%s, %s: %s against %s's", s.Name, row, what, peer.Name), least: least, bound: 1, metric: m,
					of: cell{row, s.Name}, against: cell{row, peer.Name},
				})
			}
			if peer != system.Asynq {
				add(enqueueBy(1), "rate", throughput, true)
				add(enqueueBy(16), "rate", throughput, true)
			}
			add(drainWith(10), "rate", throughput, true)
			add(drainWith(100), "rate", throughput, true)
			add(drainWith(10), "CPU of the worker", workerCPU, false)
			add(enqueueBy(16), "CPU of the sender", senderCPU, false)
			add(steady, "p50", p50, false)
		}
	}
	return all
}

// values are the target's figures, one for each round, and whether one of the runs was disturbed.
func (t *target) values(results map[cell][]result) (values []float64, disturbed bool) {
	of, against := results[t.of], results[t.against]
	for i, r := range of {
		value := t.metric(r)
		disturbed = disturbed || r.others > noise
		if t.against.row != "" {
			other := t.metric(against[i])
			disturbed = disturbed || against[i].others > noise
			if t.compare == difference {
				value -= other
			} else {
				value /= max(other, 1e-9)
			}
		}
		values = append(values, value)
	}
	return values, disturbed
}

func (t *target) line(results map[cell][]result) string {
	values, disturbed := t.values(results)
	bound, met := "≤ ", median(values) <= t.bound
	if t.least {
		bound, met = "≥ ", median(values) >= t.bound
	}
	verdict := "met"
	if !met {
		verdict = "**not met**"
	}
	if disturbed {
		verdict += " †"
	}
	return line(t.what, spread(values, 2), bound+number(t.bound, 2), verdict)
}
