package system

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Asynq is asynq on Redis.
var Asynq = &System{
	Name: "asynq", About: "Redis, AOF everysec: the last second can be lost", Server: "redis",
	Prepare: func(ctx context.Context, url string) error {
		options, err := redis.ParseURL(url)
		if err != nil {
			return err
		}
		client := redis.NewClient(options)
		return errors.Join(client.FlushAll(ctx).Err(), client.Close())
	},
	Open: openAsynq, Work: workAsynq,
}

const asynqTask = "bench:noop"

// arguments are how users of asynq and river write them.
type arguments struct {
	User  string `json:"user"`
	Stamp string `json:"stamp"`
}

type asynqSender struct{ *asynq.Client }

func openAsynq(_ context.Context, job Job) (Sender, error) {
	address, err := asynq.ParseRedisURI(job.Broker)
	if err != nil {
		return nil, err
	}
	return asynqSender{asynq.NewClient(address)}, nil
}

func (s asynqSender) Send(ctx context.Context) error {
	payload, err := json.Marshal(arguments{User, Stamp()})
	if err != nil {
		return err
	}
	_, err = s.EnqueueContext(ctx, asynq.NewTask(asynqTask, payload))
	return err
}

func (s asynqSender) SendMany(ctx context.Context, n int) error { return loop(ctx, s, n) }

func workAsynq(ctx context.Context, job Job, started func(string)) error {
	address, err := asynq.ParseRedisURI(job.Broker)
	if err != nil {
		return err
	}
	server := asynq.NewServer(address, asynq.Config{Concurrency: job.Concurrency, LogLevel: asynq.WarnLevel})
	mux := asynq.NewServeMux()
	mux.HandleFunc(asynqTask, func(_ context.Context, t *asynq.Task) error {
		var a arguments
		if err := json.Unmarshal(t.Payload(), &a); err != nil {
			return err
		}
		started(a.Stamp)
		return nil
	})
	if err := server.Start(mux); err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
