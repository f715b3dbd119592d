package system

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// River is river on PostgreSQL.
var River = &System{
	Name: "river", About: "PostgreSQL, committed, fsync", Server: "postgres", Many: true,
	Pace: func(job Job) int {
		if job.Role == Work {
			return 10 * job.Concurrency // it fetches every 100 ms
		}
		return 5000
	},
	Prepare: func(ctx context.Context, url string) error {
		pool, err := pgxpool.New(ctx, url)
		if err != nil {
			return err
		}
		defer pool.Close()
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		_, err = pool.Exec(ctx, "TRUNCATE river_job")
		return err
	},
	Open: openRiver, Work: workRiver,
}

type riverArgs arguments

func (riverArgs) Kind() string { return "noop" }

type riverSender struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
}

func openRiver(ctx context.Context, job Job) (Sender, error) {
	pool, err := pgxpool.New(ctx, job.Broker)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	return &riverSender{pool, client}, err
}

func (s *riverSender) Send(ctx context.Context) error {
	_, err := s.client.Insert(ctx, riverArgs{User, Stamp()}, nil)
	return err
}

func (s *riverSender) SendMany(ctx context.Context, n int) error {
	for ; n > 0; n -= batch {
		params := make([]river.InsertManyParams, min(n, batch))
		for i := range params {
			params[i].Args = riverArgs{User, Stamp()}
		}
		if _, err := s.client.InsertManyFast(ctx, params); err != nil {
			return err
		}
	}
	return nil
}

func (s *riverSender) Close() error {
	s.pool.Close()
	return nil
}

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	started func(string)
}

func (w *riverWorker) Work(_ context.Context, job *river.Job[riverArgs]) error {
	w.started(job.Args.Stamp)
	return nil
}

func workRiver(ctx context.Context, job Job, started func(string)) error {
	pool, err := pgxpool.New(ctx, job.Broker)
	if err != nil {
		return err
	}
	defer pool.Close()
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{started: started})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: job.Concurrency}},
		Workers: workers,
	})
	if err != nil {
		return err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	return client.Stop(context.WithoutCancel(ctx))
}
