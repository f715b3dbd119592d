// Package task is the runtime of taskgen: what generated code, clients and
// workers share. It knows tasks, not brokers: a [Transport] carries the
// messages, made by runtime/broker from a URL.
//
// Sending:
//
//	client, err := broker.Open(ctx, "amqp://guest:guest@localhost/")
//	ctx = task.WithClient(ctx, client)
//	call, err := users.CreateUser.Delay(ctx, "ada", "s3cret")
//	id, err := call.Get(ctx)
//
// Working is the generated worker's business, or that of a [Worker] of your own:
//
//	r := task.NewRegistry()
//	users.RegisterTasks(r)
//	w, err := task.NewWorker(transport, r, task.WorkerConfig{})
//	err = w.Run(ctx)
package task

// Generation1 is the handshake with generated code: a file that needs another
// generation of the runtime does not compile.
const Generation1 = 1
