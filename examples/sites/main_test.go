package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/examples/sites/orders"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// Each order runs at its site, and nowhere else.
func TestSites(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		testSites(t, "sqlite:"+t.TempDir())
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv("TASKGEN_TEST_AMQP")
		if url == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		testSites(t, url)
	})
}

func testSites(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := rand.Text() // others use the exchange, too
	eu := orders.NewSite("eu-"+run, map[string]int{"tea": 100})
	us := orders.NewSite("us-"+run, map[string]int{"tea": 100})
	for _, site := range []*orders.Site{eu, us} {
		w, err := open(ctx, url, site)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.close(); err != nil {
				t.Error(err)
			}
			deleteQueue(t, url, site.Queue())
		})
	}
	client, err := broker.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx = task.WithClient(ctx, client)

	var calls []*task.Call[orders.Receipt]
	var sites []string
	for order := range int64(20) {
		site := "eu-" + run
		if order%3 == 0 {
			site = "us-" + run
		}
		call, err := orders.SiteShip.Delay(ctx, site, order, "tea", 1)
		if err != nil {
			t.Fatal(err)
		}
		calls, sites = append(calls, call), append(sites, site)
	}
	want := map[string][]int64{}
	for order, call := range calls {
		receipt, err := call.Get(ctx)
		if err != nil || receipt.Site != sites[order] {
			t.Errorf("order %d for %s: %+v, %v", order, sites[order], receipt, err)
		}
		want[sites[order]] = append(want[sites[order]], int64(order))
	}
	if got := eu.Shipped(); !slices.Equal(got, want["eu-"+run]) {
		t.Errorf("eu has shipped %v, want %v", got, want["eu-"+run])
	}
	if got := us.Shipped(); !slices.Equal(got, want["us-"+run]) {
		t.Errorf("us has shipped %v, want %v", got, want["us-"+run])
	}

	if _, err := orders.SiteShip.Delay(ctx, "mars-"+run, 1, "tea", 1); !errors.Is(err, task.ErrUnroutable) {
		t.Errorf("an order for a site without a worker: %v, want %v", err, task.ErrUnroutable)
	}
}

// deleteQueue leaves a broker that others use as it was.
func deleteQueue(t *testing.T, url, name string) {
	t.Helper()
	if !strings.HasPrefix(url, "amqp") {
		return
	}
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := channel.QueueDelete(name, false, false, false); err != nil {
		t.Errorf("queue %s: %v", name, err)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out, ""); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"order 1 for eu   shipped by eu, which has 9 left",
		"order 2 for us   shipped by us, which has 2 left",
		"order 4 for mars not taken",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}
