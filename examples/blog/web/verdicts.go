package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
)

const (
	// maxStreams is how many streams may be open. Who gets none is shown a link instead.
	maxStreams = 256
	// streamLife is how long a stream lasts at most. The browser opens the next one by itself.
	streamLife = 10 * time.Minute
	// heartbeat keeps proxies from taking a quiet stream for a dead one, and finds out who has left.
	heartbeat = 15 * time.Second
	// writeTimeout is for each piece of a stream; the server's own would end it in the middle.
	writeTimeout = 10 * time.Second
)

// verdict is an event: what became of a comment.
type verdict struct {
	Comment int64        `json:"comment"`
	Status  store.Status `json:"status"`
	// Mark and Note say it in a word and in a sentence.
	Mark string `json:"mark"`
	Note string `json:"note"`
	// Count is the heading over the comments from now on.
	Count string `json:"count"`
}

// verdicts tells visitors by server-sent events what became of their comments on a post, until there is
// nothing more to tell.
func (s *Site) verdicts(w http.ResponseWriter, r *http.Request) {
	me := author(r)
	if me == "" {
		w.WriteHeader(http.StatusNoContent) // which means: don't come again
		return
	}
	post, err := s.store.Post(r.Context(), r.PathValue("slug"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		http.Error(w, "Too many are listening.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	e, err := newEvents(w)
	if err == nil {
		err = s.stream(e, r, post.ID, me)
	}
	if err != nil && r.Context().Err() == nil {
		s.logger.WarnContext(r.Context(), "a stream broke off", "path", r.URL.Path, "error", err)
	}
}

func (s *Site) stream(e *events, r *http.Request, post int64, me string) error {
	told := map[int64]bool{}
	end := time.NewTimer(streamLife)
	defer end.Stop()
	for {
		changed := s.store.Changed()
		comments, err := s.store.Comments(r.Context(), post, me)
		if err != nil {
			return err
		}
		waiting := 0
		for _, c := range comments {
			if c.Author != me || told[c.ID] {
				continue
			}
			if c.Status == store.Checking {
				waiting++
				continue
			}
			told[c.ID] = true
			err := e.send("verdict", verdict{
				Comment: c.ID, Status: c.Status, Mark: mark(c.Status), Note: note(c.Status),
				Count: countComments(published(comments)),
			})
			if err != nil {
				return err
			}
		}
		if waiting == 0 {
			return e.send("done", struct{}{})
		}
		if more, err := e.await(r.Context(), changed, s.stopping, end.C); err != nil || !more {
			return err
		}
	}
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// newEvents begins a stream. The request has been read; the server's deadline for that must not end the stream.
func newEvents(w http.ResponseWriter) (*events, error) {
	e := &events{w: w, control: http.NewResponseController(w)}
	return e, e.control.SetReadDeadline(time.Time{})
}

// send sends one event.
func (e *events) send(name string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, text))
}

func (e *events) write(text string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}

// await waits for a change, and says whether there may be more to tell. Meanwhile it writes what browsers ignore; the
// first time at once, for that opens the stream.
func (e *events) await(ctx context.Context, changed, stopping <-chan struct{}, end <-chan time.Time) (more bool, err error) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if err := e.write(": still here\n\n"); err != nil {
			return false, err
		}
		select {
		case <-beat.C:
		case <-changed:
			return true, nil
		case <-ctx.Done():
			return false, nil
		case <-stopping:
			return false, nil
		case <-end:
			return false, nil
		}
	}
}
