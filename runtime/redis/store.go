package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "redis+socket"} {
		task.RegisterResultStore(scheme, func(ctx context.Context, url string) (task.ResultStore, error) {
			s, err := Open(ctx, url)
			if err != nil {
				return nil, err // a nil *Store in a task.ResultStore would not be nil
			}
			return s, nil
		})
	}
}

// Store is a [task.ResultStore] in Redis.
type Store struct {
	address *address
	client  *goredis.Client
	news    *news
	ctx     context.Context // ends with Close
	close   context.CancelFunc
	now     func() time.Time
	trouble chan struct{} // of capacity 1: something went wrong
}

var _ task.ResultStore = (*Store)(nil)

// firstTry is how long Open waits for a server.
const firstTry = 2 * time.Second

// Open returns the store at a URL of the package comment. It fails if the URL is wrong, or the server refuses it: a wrong password,
// a database that is not there. A server that can't be reached is waited for, for ever, by what needs it.
func Open(ctx context.Context, url string) (*Store, error) {
	a, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	s := &Store{address: a, client: goredis.NewClient(a.options()), now: time.Now, trouble: make(chan struct{}, 1)}
	s.ctx, s.close = context.WithCancel(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); refuses(err) {
		s.close()
		return nil, errors.Join(fmt.Errorf("the server refuses it (check the user, password and database in the URL): %w", err), s.client.Close())
	}
	s.news = newNews(s.client.Subscribe(s.ctx))
	return s, nil
}

// Close implements [task.ResultStore].
func (s *Store) Close() error {
	if s.ctx.Err() != nil {
		return nil //nolint:nilerr // it is closed already
	}
	s.close()
	return errors.Join(s.news.close(), s.client.Close())
}

// String is the URL without password.
func (s *Store) String() string { return s.address.String() }

// Serializer is JSON: the content type of a result is not stored.
func (s *Store) Serializer() codec.Serializer {
	json, _ := codec.ByName("json")
	return json
}

// DeleteExpiredResults deletes nothing: Redis does.
func (s *Store) DeleteExpiredResults(context.Context) (int, error) { return 0, nil }

// problem names the server in an error, which has no password in it: the library doesn't know the URL.
func (s *Store) problem(err error) error {
	if s.ctx.Err() != nil {
		return task.ErrClosed
	}
	return fmt.Errorf("%s: %w", s, err)
}

// refuses says that the server has answered, and that another try gets the same answer.
func refuses(err error) bool {
	if errors.Is(err, errChordTooLarge) {
		return true
	}
	var answer goredis.Error
	if !errors.As(err, &answer) || errors.Is(err, goredis.Nil) || errors.Is(err, goredis.TxFailedErr) {
		return false
	}
	for _, passing := range []string{"LOADING ", "READONLY ", "CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN ", "BUSY ", "OOM ", "MISCONF ", "NOREPLICAS ", "ERR max number of clients"} {
		if strings.HasPrefix(answer.Error(), passing) {
			return false
		}
	}
	return true
}

// The waits between the tries of a server that is not there.
const (
	shortestWait = 50 * time.Millisecond
	longestWait  = 2 * time.Second
)

// insist tries until f succeeds, is refused for good, or ctx or the store ends.
func insist[T any](ctx context.Context, s *Store, f func(context.Context) (T, error)) (T, error) {
	for wait := shortestWait; ; wait = min(2*wait, longestWait) {
		value, err := within(ctx, s, f)
		if err == nil || ctx.Err() != nil || s.ctx.Err() != nil || refuses(err) {
			return value, err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return value, s.problem(errors.Join(context.Cause(ctx), err))
		case <-s.ctx.Done():
			return value, task.ErrClosed
		}
	}
}

// within calls f, and doesn't wait for it longer than ctx: the library notices the end of a context late.
func within[T any](ctx context.Context, s *Store, f func(context.Context) (T, error)) (value T, err error) {
	if ctx.Err() != nil {
		return value, s.problem(context.Cause(ctx))
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f(ctx)
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			s.notice(o.err)
			return value, s.problem(o.err)
		}
		return o.value, nil
	case <-ctx.Done():
		return value, s.problem(context.Cause(ctx))
	case <-s.ctx.Done():
		return value, task.ErrClosed
	}
}
