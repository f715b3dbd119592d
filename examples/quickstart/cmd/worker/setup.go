package main

import (
	"context"

	"github.com/taskgen/taskgen/examples/quickstart/users"
	"github.com/taskgen/taskgen/runtime/worker"
)

// setup makes what the tasks depend on and runs the worker until it is told to
// stop. taskgen wrote it once; it is ours from then on.
func setup(ctx context.Context, run worker.Run) error {
	mailer := &users.Mailer{From: "hello@example.com"}
	return run(ctx, registry(mailer))
}
