// Package rabbitmq is the transport over RabbitMQ, with amqp091-go.
//
// A [Transport] keeps one connection to publish and one for each consumer, so
// that an alarm that blocks publishers never holds up acks. Whatever happens to
// a connection or a channel, the whole session (dial, channel, topology,
// prefetch, consumers) is built anew; nothing is ever patched. The library's own
// recovery stays off: it settles deliveries on channels that did not deliver
// them, which loses tasks. Messages, confirms, deliveries and acks don't go
// through it, since there are so many of them: see frameReader.
//
// Queues are durable quorum queues, or classic ones with x-max-priority where a
// task asks for priorities. A queue or an exchange that exists is taken as it is,
// so the classic queues of a Celery deployment work. Messages that can't be run
// are parked in the queue "<queue>.dead".
//
// Messages for later travel through the delayed-delivery exchanges of Celery 5.5
// and newer, straight to their queue; one that names an exchange is led to its
// queues first. A queue that belongs to one consumer goes a minute after it, and
// hands what is in it to its heir.
package rabbitmq
