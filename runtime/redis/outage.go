package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/taskgen/taskgen/runtime/internal/complaint"
)

// libraryLog takes what the library would write to standard error, with no level and again and again. What matters of
// it is in the errors too.
type libraryLog struct{}

func (libraryLog) Printf(ctx context.Context, format string, v ...any) {
	if log := slog.Default(); log.Enabled(ctx, slog.LevelDebug) {
		log.DebugContext(ctx, fmt.Sprintf(format, v...))
	}
}

func init() { goredis.SetLogger(libraryLog{}) }

// WatchOutages tells the log when the server can't be used, and when it can again, until Close. While all goes well nothing is asked
// for it, but once at the start.
func (s *Store) WatchOutages(log *slog.Logger) {
	go func() {
		log := log.With("results", s.String())
		var complaints complaint.Book
		for {
			s.awaitServer(log, &complaints)
			if s.ctx.Err() != nil {
				return
			}
			if complaints.Over() {
				log.Info("the store of results can be used again")
			}
			select {
			case <-s.trouble:
			case <-s.ctx.Done():
				return
			}
		}
	}()
}

// awaitServer returns when the server answers, or the store is closed.
func (s *Store) awaitServer(log *slog.Logger, complaints *complaint.Book) {
	for wait := shortestWait; ; wait = min(2*wait, longestWait) {
		_, err := within(s.ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.client.Ping(ctx).Err() })
		if err == nil || s.ctx.Err() != nil {
			return
		}
		if complaints.Fresh(err) {
			log.Warn("the store of results can't be used: tasks run, and a result that it does not take within 30s is lost; trying for ever", "error", errors.Unwrap(err))
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-s.ctx.Done():
			return
		}
	}
}

// notice has the server looked at after an error.
func (s *Store) notice(err error) {
	if errors.Is(err, goredis.Nil) || errors.Is(err, errChordTooLarge) || s.ctx.Err() != nil {
		return
	}
	select {
	case s.trouble <- struct{}{}:
	default: // it is about to be
	}
}
