package rabbitmq

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// The ladder is the delayed delivery of Celery 5.5 and newer, which we share:
// 28 topic exchanges, celery_delayed_27 down to celery_delayed_0, each with a queue of the same
// name whose messages live for 2^n seconds and then die into the next exchange down. The routing
// key of a message starts with the 28 binary digits of its delay; where the digit of a level
// is 1 it goes through the queue, where it is 0 straight on. The last
// exchange, celery_delayed_delivery, leads to the task's queue.
const (
	ladderLevels   = 28
	ladderPrefix   = "celery_delayed_"
	ladderDelivery = ladderPrefix + "delivery"
	maxLadderDelay = 1<<ladderLevels - 1 // seconds: 8.5 years
)

// ladderSeconds is how long the ladder shall hold a message back. It is
// rounded down: the ladder counts in whole seconds, the worker waits for the rest.
func ladderSeconds(eta, now time.Time) int {
	if eta.IsZero() {
		return 0
	}
	// Sub saturates, and so do we: the worker sends on what comes too early.
	return int(min(max(eta.Sub(now)/time.Second, 0), maxLadderDelay))
}

// ladderEntry is the exchange of the first level that holds the message back. Celery sends all to the top, from where the broker
// goes on from exchange to exchange: matching 28 digits in each takes it some 4 ms of processor time for each
// message.
func ladderEntry(seconds int) string {
	return ladderPrefix + strconv.Itoa(bits.Len(uint(seconds))-1)
}

// ladderKey is the routing key that delays a message for a queue.
func ladderKey(seconds int, queue string) string {
	key := make([]byte, 0, 2*ladderLevels+len(queue))
	for level := ladderLevels - 1; level >= 0; level-- {
		key = append(key, '0'+byte(seconds>>level&1), '.')
	}
	return string(append(key, queue...))
}

// stripLadder removes the digits that ladderKey put before a key.
func stripLadder(key string) string {
	rest := key
	for range ladderLevels {
		if len(rest) < 2 || rest[0] != '0' && rest[0] != '1' || rest[1] != '.' {
			return key
		}
		rest = rest[2:]
	}
	return strings.TrimSuffix(rest, ownRungSuffix)
}

// ladderBinding is the key that binds a queue to the ladder's end. Celery binds
// with "#.<queue>", where # stands for any number of words; that also matches the messages of
// every queue whose name ends in ".<queue>".
func ladderBinding(queue string) string {
	return strings.Repeat("*.", ladderLevels) + queue
}

// A message at the ladder's end that no queue takes is never dropped, and holds up others for ever. A queue
// that goes with its consumer may be missing there, so what is for one also leads to a
// queue that drops it.
const (
	ownRungSuffix = ".taskgen-own"
	ownRungDrop   = ladderPrefix + "taskgen_own_drop"
)

// ownRung leads to a queue of one consumer.
func ownRung(queue string) string { return queue + ownRungSuffix }

// declareDrop makes the queue that drops what is for queues of one consumer.
func declareDrop(t *topology) error {
	if err := t.queue(ownRungDrop, amqp.Table{"x-queue-type": classicType, "x-message-ttl": int32(0)}); err != nil {
		return err
	}
	return t.bind(ownRungDrop, ladderDelivery, "#"+ownRungSuffix, nil)
}

// checkLadderKey refuses queue names that mean something else in a topic exchange.
func checkLadderKey(queue string) error {
	for word := range strings.SplitSeq(queue, ".") {
		if word == "*" || word == "#" {
			return fmt.Errorf("queue %q can't take messages for later: its name is a pattern of routing keys", queue)
		}
	}
	if strings.HasSuffix(queue, ownRungSuffix) {
		return fmt.Errorf("queue %q can't take messages for later: names that end in %s mean something else there", queue, ownRungSuffix)
	}
	return nil
}

// declareLadder creates what is missing of the ladder.
func declareLadder(t *topology) error {
	if _, err := t.exchange(ladderDelivery, amqp.ExchangeTopic); err != nil {
		return err
	}
	for level := range ladderLevels {
		if err := declareLevel(t, level); err != nil {
			return err
		}
	}
	return nil
}

// declareLevel creates one level; the one below must be there.
func declareLevel(t *topology, level int) error {
	name, below := ladderPrefix+strconv.Itoa(level), ladderDelivery
	if level > 0 {
		below = ladderPrefix + strconv.Itoa(level-1)
	}
	if _, err := t.exchange(name, amqp.ExchangeTopic); err != nil {
		return err
	}
	err := t.queue(name, amqp.Table{
		"x-queue-type":           quorumType,
		"x-overflow":             "reject-publish",
		"x-message-ttl":          int64(1000) << level,
		"x-dead-letter-exchange": below,
		// At-least-once needs reject-publish, and loses nothing between two levels.
		"x-dead-letter-strategy": "at-least-once",
	})
	if err != nil {
		return err
	}
	above := strings.Repeat("*.", ladderLevels-1-level)
	if err := t.bind(name, name, above+"1.#", nil); err != nil {
		return err
	}
	return t.bindExchange(below, name, above+"0.#")
}
