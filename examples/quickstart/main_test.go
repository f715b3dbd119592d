package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDemo(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		demonstrate(t, "")
	})
	t.Run("rabbitmq", func(t *testing.T) {
		url := os.Getenv("TASKGEN_TEST_AMQP")
		if url == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		demonstrate(t, url)
	})
}

func demonstrate(t *testing.T, broker string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // on a cold build cache
	defer cancel()
	var out bytes.Buffer
	d := &demo{out: &out, broker: broker}
	if err := d.run(ctx); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"int64 2372962152",
		"state RETRY: over capacity",
		"posted at attempt 2",
		"NotFoundError: there is no user 404",
		"after its time",
		"Welcome, joe!",
		"the worker drained and exited with 0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
	if _, err := os.Stat(d.folder); err == nil {
		t.Error("the demo leaves its folder behind")
	}
}
