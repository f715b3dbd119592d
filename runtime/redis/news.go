package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// news tells who waits for results that there may be some, by one connection for all of them. The library builds
// a lost one anew, for ever, and subscribes again.
type news struct {
	pubsub  *goredis.PubSub
	changed chan struct{} // of capacity 1: what is waited for has changed

	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by channel
	dirty    map[string]struct{}              // channels whose watchers have come or gone
}

// watcher is one who waits.
type watcher struct {
	channel string
	wake    chan struct{}
}

func newNews(pubsub *goredis.PubSub) *news {
	n := &news{
		pubsub: pubsub, changed: make(chan struct{}, 1),
		watchers: map[string]map[*watcher]struct{}{}, dirty: map[string]struct{}{},
	}
	go n.subscribe()
	return n
}

func (n *news) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
	return n.pubsub.Close()
}

// watch wakes the watcher with each message of a channel, and when it is subscribed to, after which nothing is missed.
func (n *news) watch(channel string) *watcher {
	w := &watcher{channel, make(chan struct{}, 1)}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers[channel] == nil {
		n.watchers[channel] = map[*watcher]struct{}{}
		n.change(channel)
	}
	n.watchers[channel][w] = struct{}{}
	return w
}

func (n *news) leave(w *watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.watchers[w.channel], w)
	if len(n.watchers[w.channel]) == 0 {
		delete(n.watchers, w.channel)
		n.change(w.channel)
	}
}

// change has the subscriptions follow. Locked.
func (n *news) change(channel string) {
	n.dirty[channel] = struct{}{}
	select {
	case n.changed <- struct{}{}:
	default: // it is about to, or closed
	}
}

// subscribe subscribes to what is watched, so that nobody who waits does so for a connection.
func (n *news) subscribe() {
	n.mu.Lock()
	changed := n.changed
	n.mu.Unlock()
	subscribed := map[string]struct{}{}
	listening := false
	for range changed {
		add, drop := n.difference(subscribed)
		// Errors are the connection's: the next one begins with all subscriptions.
		if len(drop) > 0 {
			_ = n.pubsub.Unsubscribe(context.Background(), drop...)
		}
		if len(add) > 0 {
			_ = n.pubsub.Subscribe(context.Background(), add...)
		}
		if !listening && len(add) > 0 {
			listening = true
			go n.listen()
		}
	}
}

// difference is what to subscribe to and what no more, and takes it for done.
func (n *news) difference(subscribed map[string]struct{}) (add, drop []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for channel := range n.dirty {
		_, has := subscribed[channel]
		_, wants := n.watchers[channel]
		switch {
		case wants && !has:
			add = append(add, channel)
			subscribed[channel] = struct{}{}
		case has && !wants:
			drop = append(drop, channel)
			delete(subscribed, channel)
		}
	}
	clear(n.dirty)
	return add, drop
}

// listen wakes watchers until the connection is closed for good.
func (n *news) listen() {
	for event := range n.pubsub.ChannelWithSubscriptions() {
		switch event := event.(type) {
		case *goredis.Message:
			n.wake(event.Channel)
		case *goredis.Subscription:
			n.wake(event.Channel)
		}
	}
}

func (n *news) wake(channel string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.watchers[channel] {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
