package mail

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// maxMails bounds the mails of an interval; what is beyond them is in one more.
	maxMails = 30
	// maxTaskMails bounds those about one task: with the one more, a poisonous task that fails in ever other words sends a mail
	// a minute by default, on average.
	maxTaskMails = 4
	// maxKinds bounds the errors that are told apart.
	maxKinds = 1000
)

// throttle decides which failure is mailed at once, and what the digests tell of the others. Time is
// what its callers say.
type throttle struct {
	interval time.Duration
	kinds    map[string]*kind
	worker   string // of the last failure

	// mails were sent in the interval that ends at end. owing says that there are failures without a mail, and
	// none left for them: a summary follows at end.
	mails  int
	ofTask map[string]int // those of mails that are about one task
	end    time.Time
	owing  bool
	// strays are failures beyond maxKinds; lost is the number of those whose mails were lost.
	strays tally
	lost   int
}

// kind is an error of a task. Until its time there is no mail about it.
type kind struct {
	tally
	until time.Time
	held  bool // it belongs in the summary
}

// tally counts failures that were not mailed.
type tally struct {
	count int
	first time.Time
	last  *failure
}

func (t *tally) add(f *failure) {
	if t.count == 0 {
		t.first = f.at
	}
	t.count++
	t.last = f
}

func newThrottle(interval time.Duration) *throttle {
	return &throttle{interval: interval, kinds: map[string]*kind{}, ofTask: map[string]int{}}
}

// admit says whether to mail the failure now. Otherwise it is counted.
func (t *throttle) admit(f *failure) bool {
	t.worker = f.worker
	k, known := t.kinds[f.key]
	switch {
	case known:
		k.add(f)
		return false
	case len(t.kinds) >= maxKinds:
		t.strays.add(f)
		t.owe(f.at)
		return false
	}
	k = &kind{until: f.at.Add(t.interval)}
	t.kinds[f.key] = k
	if t.spend(f.task, f.at) {
		return true
	}
	k.add(f)
	k.held = true
	return false
}

// lose counts the failures of a mail that will not be sent.
func (t *throttle) lose(l *letter, now time.Time) {
	t.lost += l.failures
	t.owe(now)
}

// spend takes one of the mails of the interval, if there is one left for the task.
func (t *throttle) spend(task string, now time.Time) bool {
	t.begin(now)
	if t.mails >= maxMails || t.ofTask[task] >= maxTaskMails {
		t.owing = true
		return false
	}
	t.mails++
	t.ofTask[task]++
	return true
}

func (t *throttle) owe(now time.Time) {
	t.begin(now)
	t.owing = true
}

// begin begins an interval if none runs. While a summary is owed none begins but after it.
func (t *throttle) begin(now time.Time) {
	if !t.owing && !now.Before(t.end) {
		t.renew(0, now)
	}
}

// renew begins an interval in which some mails are sent already.
func (t *throttle) renew(mails int, now time.Time) {
	t.mails, t.end = mails, now.Add(t.interval)
	clear(t.ofTask)
}

// due returns the digests that are due.
func (t *throttle) due(now time.Time) []*letter {
	var out []*letter
	if t.owing && !now.Before(t.end) {
		out = append(out, t.summarize(now))
		t.owing = false
		t.renew(1, now)
	}
	for _, key := range slices.Sorted(maps.Keys(t.kinds)) {
		k := t.kinds[key]
		switch {
		case k.until.After(now) || k.held:
		case k.count == 0:
			delete(t.kinds, key)
		case t.spend(k.last.task, now):
			out = append(out, digest(k.tally, now, t.interval))
			*k = kind{until: now.Add(t.interval)}
		default:
			k.held = true
		}
	}
	return out
}

// rest returns what is left to tell, in one mail or none.
func (t *throttle) rest(now time.Time) []*letter {
	for _, k := range t.kinds {
		k.held = k.count > 0
		t.owing = t.owing || k.held
	}
	if !t.owing {
		return nil
	}
	t.owing = false
	return []*letter{t.summarize(now)}
}

// summarize writes the summary of what is held, and counts from 0 again.
func (t *throttle) summarize(now time.Time) *letter {
	s := summary{worker: t.worker, strays: t.strays, lost: t.lost}
	for _, k := range t.kinds {
		if k.held {
			s.kinds = append(s.kinds, k.tally)
			*k = kind{until: now.Add(t.interval)}
		}
	}
	slices.SortFunc(s.kinds, func(a, b tally) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.last.key, b.last.key))
	})
	t.strays, t.lost = tally{}, 0
	return s.letter(now, t.interval)
}

// next is when to ask for digests again, the zero time if there is no reason to.
func (t *throttle) next(now time.Time) time.Time {
	var next time.Time
	if t.owing || t.end.After(now) {
		next = t.end
	}
	for _, k := range t.kinds {
		if !k.held {
			next = earlier(next, k.until)
		}
	}
	return next
}
