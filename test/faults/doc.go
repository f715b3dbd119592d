// Package faults hurts taskgen for real and counts what becomes of the tasks: processes are ended with kill -9 and
// frozen, brokers are stopped and killed, networks are cut. `make test` runs a short form of each
// scenario, `make faults` the long one, which writes docs/reliability.md.
//
// # Writing a scenario
//
// A scenario is a test that works in a world, which is one row of the table:
//
//	func TestKill(t *testing.T) {
//		alongside(t)                                  // in parallel, in the short form
//		w := newWorld(t, "kill -9 of the worker", sharedBroker(t))
//		p := w.worker("-c", "10")                     // a process, with the flags of a worker
//		s := w.send(sending{tasks: 100})              // in this process; goes on beside the test
//		w.await("half of them", func() bool { return w.ledger.tally().ended > 50 })
//		p.kill()
//		w.worker("-c", "10")
//		s.wait()
//		w.finish()                                    // all have ended, the workers exit with 0; fills in the row
//		w.atMost("started twice", w.row.startedTwice, 10)
//	}
//
// What there is:
//
//   - brokers: sharedBroker is the node of the tests, which must not be hurt; embedded is a SQLite database of the
//     scenario's own; ownNode a RabbitMQ node to be hurt, with ctl, kill, start and outage, which a party of scenarios can share. classic(b) has the
//     queues of a world be classic ones. via puts a proxy in front, with hole, cut, down and up, latency and bandwidth.
//   - a world: queue is its own, and deleted at the end. worker starts a worker, supervise one that is
//     started again whenever it ends, client opens a client in this process, admin an AMQP channel past taskgen.
//   - tasks: [job], sent by send or in batches by sendMany, says what the task does: Take is how long it runs; Do is
//     one of the words in job_test.go, such as "exit".
//   - the ledger: one line for each task accepted, rejected, started and ended, by whichever process. tally counts.
//   - a process: kill, signal, exit (waits for the exit code), log, memory and processorTime.
//   - figures: pick(short, long) and within, whose times are strict in the long form only.
package faults
