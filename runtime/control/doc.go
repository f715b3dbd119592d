// Package control is remote control: what Celery calls pidbox. A [Server] answers the commands of
// `celery inspect`, `celery control`, Flower and our own command line for a worker; a [Client] gives such commands to a
// fleet, to workers in Go and in Python alike.
//
// Requests go to all workers at once, over the exchange celery.pidbox; each looks whether it is meant, and answers to a queue of
// the client's own. They are broadcasts: who does not listen at that moment has missed them.
package control

import "github.com/taskgen/taskgen/runtime/task"

// requests is where requests are sent to, replies where the answers go (Celery: control_exchange; both are
// declared so by Celery's own workers and clients).
var (
	requests = task.Bulletin{Name: "celery.pidbox", Type: task.Fanout}
	replies  = task.Bulletin{Name: "reply.celery.pidbox", Type: task.Direct}
)

const (
	// requestSuffix makes the name of a worker's queue for requests, replySuffix that of a client's for answers.
	requestSuffix = ".celery.pidbox"
	replySuffix   = ".reply.celery.pidbox"
	contentType   = "application/json"
	encoding      = "utf-8"
)
