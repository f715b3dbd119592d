package main

import (
	"context"
	"errors"

	"github.com/taskgen/taskgen/examples/blog/settings"
	"github.com/taskgen/taskgen/examples/blog/store"
	blog "github.com/taskgen/taskgen/examples/blog/tasks"
	"github.com/taskgen/taskgen/runtime/worker"
)

// setup makes what the tasks depend on and runs the worker until it is told to
// stop. taskgen wrote it once; it is ours from then on.
func setup(ctx context.Context, run worker.Run) (err error) {
	s, err := settings.FromEnvironment()
	if err != nil {
		return err
	}
	akismet, err := s.Akismet()
	if err != nil {
		return err
	}
	posts, err := store.Open(ctx, s.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, posts.Close()) }()
	return run(ctx, registry(&blog.Spam{Store: posts, Akismet: akismet, Site: s.Site}))
}
