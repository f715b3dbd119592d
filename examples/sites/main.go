// Command sites shows data locality: an order is processed at the site that has the goods.
//
//	go run ./examples/sites                                                the embedded broker
//	TASKGEN_BROKER=amqp://guest:guest@localhost/ go run ./examples/sites   RabbitMQ
//
// The task in package orders goes to an exchange with the routing key site.{site}, so each
// call says by its argument where it runs. Every site has a worker with a queue of its own, bound by its own
// key. An order for a site that has no worker yet is an error for the caller, who can tell the customer.
//
// Here both workers are in one process. In earnest each is a process at its site, next to its data, with a broker that
// all reach. Its generated main is told the same on the command line:
//
//	worker -Q orders.eu -bind orders.eu=orders/site.eu
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/taskgen/taskgen/examples/sites/orders"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Getenv("TASKGEN_BROKER"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sites:", err)
		os.Exit(1)
	}
}

// run opens two sites, and sends orders to them and to one that is not there.
func run(ctx context.Context, out io.Writer, url string) (err error) {
	folder, err := os.MkdirTemp("", "sites-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	url = cmp.Or(url, "sqlite:"+folder)

	eu, err := open(ctx, url, orders.NewSite("eu", map[string]int{"tea": 10}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eu.close()) }()
	us, err := open(ctx, url, orders.NewSite("us", map[string]int{"tea": 3}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, us.close()) }()

	client, err := broker.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx = task.WithClient(ctx, client)
	for order, site := range []string{"eu", "us", "eu", "mars"} {
		fmt.Fprintf(out, "order %d for %-5s", order+1, site)
		receipt, err := send(ctx, site, int64(order+1))
		switch {
		case errors.Is(err, task.ErrUnroutable):
			fmt.Fprintln(out, "not taken: no worker has a queue for it")
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "shipped by %s, which has %d left\n", receipt.Site, receipt.Left)
		}
	}
	return nil
}

// send sends one order, and waits until it has left.
func send(ctx context.Context, site string, order int64) (orders.Receipt, error) {
	call, err := orders.SiteShip.Delay(ctx, site, order, "tea", 1)
	if err != nil {
		return orders.Receipt{}, err
	}
	return call.Get(ctx)
}

// worker is the worker of a site, at work.
type worker struct {
	transport task.Transport
	stop      context.CancelFunc
	ended     chan error
}

// open starts the worker of a site, with its data and a queue of its own, and returns
// when orders can come. Those who know only the exchange need not know the queue.
func open(ctx context.Context, url string, site *orders.Site) (*worker, error) {
	r := task.NewRegistry()
	orders.RegisterTasks(r, site)
	transport, err := broker.Transport(ctx, url)
	if err != nil {
		return nil, err
	}
	w, err := task.NewWorker(transport, r, task.WorkerConfig{
		Name:   "worker@" + site.Queue(),
		Queues: []task.QueueConfig{{Name: site.Queue(), Bindings: []task.Binding{site.Binding()}}},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return nil, errors.Join(err, transport.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	started := &worker{transport: transport, stop: stop, ended: make(chan error, 1)}
	go func() { started.ended <- w.Run(running) }()
	for !w.Ready() {
		select {
		case err := <-started.ended:
			stop()
			return nil, errors.Join(err, transport.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), started.close())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return started, nil
}

// close lets the worker finish what it is doing.
func (w *worker) close() error {
	w.stop()
	return errors.Join(<-w.ended, w.transport.Close())
}
