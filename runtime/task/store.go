package task

import "context"

// ResultStore keeps results where every process can ask for them, apart from the broker. [WithResults] gives a
// transport one.
type ResultStore interface {
	// StoreResult, Result, AwaitResult and DeleteExpiredResults are those of [Transport].
	StoreResult(ctx context.Context, r *Result) error
	Result(ctx context.Context, id string) (*Result, error)
	AwaitResult(ctx context.Context, id string) (*Result, error)
	DeleteExpiredResults(ctx context.Context) (int, error)
	ChordStore
	// Close ends all sessions.
	Close() error
	// String names the store for people, without password.
	String() string
}

// ChordStore counts the parts of chords. A [Transport] that stores results implements it too.
type ChordStore interface {
	// StartChord notes how many parts the chord of a group has. It comes before the last part is sent.
	StartChord(ctx context.Context, group string, size int) error
	// EndChordPart notes how one part has ended; doing so again changes nothing. If that was the last one it returns all
	// parts, ordered by index, until ForgetChord; else nil. After any error but [ErrUnstorable] the task is run again.
	EndChordPart(ctx context.Context, group string, part ChordPart) ([]ChordPart, error)
	// ForgetChord deletes what is known of a chord, once its body is sent.
	ForgetChord(ctx context.Context, group string) error
}

// ChordPart is how one part of a chord has ended.
type ChordPart struct {
	ID string
	// Index is its place in the group, -1 if it is not known: behind all others.
	Index int
	// State is Success, Failure or Revoked.
	State State
	// ContentType and Body are the value (Success) or the exception map (docs/wire.md) alone, not a whole result message.
	ContentType string
	Body        []byte
}
