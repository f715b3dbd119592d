// Command blog runs a small blog whose comments are checked for spam by a worker, in another
// process:
//
//	go run ./examples/blog                                       all of it on SQLite, nothing to install
//	go run ./examples/blog -broker amqp://guest:guest@localhost/     the tasks through RabbitMQ
//
// It starts the web server, the worker and, unless there is a key for the real one in AKISMET_KEY, an
// Akismet of its own. Ctrl-C stops them all. README.md says where to look.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	b := &blog{out: os.Stdout, log: os.Stderr, akismetKey: os.Getenv("AKISMET_KEY"), akismetDelay: localAkismetDelay}
	flag.StringVar(&b.addr, "addr", "127.0.0.1:8080", "serve the blog on this `ADDRESS`")
	flag.StringVar(&b.data, "data", dataFolder(), "keep the posts and the embedded broker in this `FOLDER`")
	flag.StringVar(&b.broker, "broker", os.Getenv("TASKGEN_BROKER"), "send tasks through the broker at this `URL`, by default the embedded one;\n$TASKGEN_BROKER is better where a password is in it")
	flag.StringVar(&b.queue, "queue", "", "`NAME` of the queue (default blog); two blogs must not share one")
	flag.StringVar(&b.akismetURL, "akismet-url", "", "`URL` of Akismet, by default the real one if there is an AKISMET_KEY, else one of our own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := b.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "blog:", err)
		os.Exit(1)
	}
}

// dataFolder is a folder of the user's that may be deleted at any time.
func dataFolder() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "taskgen-blog")
}
