package mail

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// word is a word without digits for n, which fold leaves alone.
func word(n int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'k' }, fmt.Sprint(n))
}

func TestOncePerInterval(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.fail("users.delete", "first", "user 17 not found")
		if m := b.office.only(); m.subject != "[worker@host] Error: Task users.delete (first): user 17 not found" {
			t.Errorf("subject %q", m.subject)
		}
		for n := range 9 {
			time.Sleep(10 * time.Second)
			b.fail("users.delete", fmt.Sprint("more-", n), fmt.Sprintf("user %d not found", n))
		}
		b.office.none()
		time.Sleep(defaultInterval)
		m := b.office.only()
		if m.subject != "[worker@host] Error: Task users.delete failed 9 times more: user 8 not found" {
			t.Errorf("subject %q", m.subject)
		}
		for _, want := range []string{"\nfailures   9\n", "\nlast id    more-8\n", "\n  user 8 not found\n", "\nlast       2000-01-01 00:01:30 +0000\n"} {
			if !strings.Contains(m.body, want) {
				t.Errorf("%q is missing in\n%s", want, m.body)
			}
		}
		// The digest was a mail about it, too.
		b.fail("users.delete", "x", "user 3 not found")
		b.office.none()
		time.Sleep(defaultInterval)
		b.office.only()
		// Nothing for a while, and all begins anew.
		time.Sleep(2 * defaultInterval)
		b.office.none()
		b.fail("users.delete", "new", "user 17 not found")
		if m := b.office.only(); !strings.Contains(m.subject, "(new)") {
			t.Errorf("subject %q", m.subject)
		}
	})
}

func TestDifferentErrors(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.fail("users.delete", "1", "user 17 not found")
		b.fail("users.delete", "2", "user 17 is locked")
		b.fail("users.create", "3", "user 17 not found")
		if mails := b.office.take(); len(mails) != 3 {
			t.Errorf("%q", subjects(mails))
		}
	})
}

// A task that fails in other words each time sends a mail a minute, and keeps nobody else's from being sent.
func TestPoisonousTask(t *testing.T) {
	inBubble(t, func(b *bubble) {
		failures, mails := 0, 0
		for range 3600 {
			failures++
			b.fail("a.poison", fmt.Sprint(failures), word(failures))
			time.Sleep(time.Second)
		}
		got := b.office.take()
		mails += len(got)
		b.fail("another", "1", "no money")
		if m := b.office.only(); !strings.Contains(m.subject, "another") {
			t.Errorf("subject %q", m.subject)
		}
		time.Sleep(2 * defaultInterval)
		got = append(got, b.office.take()...)
		if n := told(t, got); mails > 60 || n != failures {
			t.Errorf("%d mails in an hour; of %d failures they tell of %d", mails, failures, n)
		}
	})
}

// A deploy that breaks everything sends one mail more than there may be in an interval.
func TestManyErrors(t *testing.T) {
	for _, kinds := range []int{500, 5000} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				for n := range kinds {
					b.fail("a."+word(n), fmt.Sprint(n), word(n))
				}
				if n := len(b.office.take()); n != maxMails {
					t.Errorf("%d mails", n)
				}
				time.Sleep(defaultInterval)
				mails := b.office.take()
				if n := told(t, mails[:1]); n != kinds-maxMails || len(mails) != 1 {
					t.Errorf("told of %d in %q", n, subjects(mails))
				}
				if n := b.remembered(); n > maxKinds {
					t.Errorf("%d errors are remembered", n)
				}
				time.Sleep(2 * defaultInterval)
				b.office.none()
				if n := b.remembered(); n > 0 {
					t.Errorf("%d errors are remembered", n)
				}
			})
		})
	}
}

func TestServerIsDownForAWhile(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.down = true })
		for n := range 20 {
			b.fail("a."+word(n), fmt.Sprint(n), word(n))
		}
		time.Sleep(20 * time.Minute)
		if n := b.office.attempts(); n < 20 || n > 60 {
			t.Errorf("%d attempts in 20 minutes", n)
		}
		b.office.set(func(p *postOffice) { p.down = false })
		time.Sleep(lastPause)
		if mails := b.office.take(); len(mails) != 20 || told(t, mails) != 20 {
			t.Errorf("%q", subjects(mails))
		}
		if b.log.count("level=WARN") != 1 || b.log.count("sent again") != 1 || b.log.count("level=ERROR") != 0 {
			t.Errorf("the log:\n%s", b.log)
		}
	})
}

// What is given up is in the log, and counted in the next digest.
func TestServerIsDownForLong(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.down = true })
		for n := range 20 {
			b.fail("a."+word(n), fmt.Sprint(n), word(n))
		}
		time.Sleep(maxAge + 2*lastPause)
		if n := b.log.count("is given up"); n != 20 {
			t.Errorf("%d are given up:\n%s", n, b.log)
		}
		b.office.set(func(p *postOffice) { p.down = false })
		time.Sleep(defaultInterval + lastPause)
		m := b.office.only()
		if m.subject != "[worker@host] Error: 20 more failures of tasks" || !strings.Contains(m.body, "20 failures in mails that could not be sent") {
			t.Errorf("%q:\n%s", m.subject, m.body)
		}
	})
}

// Whatever happens, every failure is told of once.
func TestNothingIsForgotten(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				random := rand.New(rand.NewPCG(seed, 0))
				failures := 0
				for range 2000 {
					if random.IntN(100) == 0 {
						b.office.set(func(p *postOffice) {
							p.down = random.IntN(2) == 0
							p.refuse = [...]string{"", "", "451 later", "550 never"}[random.IntN(4)]
						})
					}
					b.fail("a.task", fmt.Sprint(failures), word(random.IntN(1+random.IntN(2000))))
					failures++
					time.Sleep(rand.N(6 * time.Second))
				}
				b.office.set(func(p *postOffice) { p.down, p.refuse = false, "" })
				time.Sleep(defaultInterval + lastPause)
				if err := b.close(time.Minute); err != nil {
					t.Error(err)
				}
				if mails := b.office.take(); told(t, mails) != failures {
					t.Errorf("%d failures, of which %d mails tell %d", failures, len(mails), told(t, mails))
				}
			})
		})
	}
}

func TestTooManyWait(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.down = true })
		failures := 0
		for range 9 {
			for range maxMails {
				b.fail("a."+word(failures), fmt.Sprint(failures), word(failures))
				failures++
			}
			time.Sleep(defaultInterval + time.Second)
		}
		if b.log.count("one is dropped") == 0 {
			t.Error("none is dropped")
		}
		b.office.set(func(p *postOffice) { p.down = false })
		time.Sleep(2 * defaultInterval)
		mails := b.office.take()
		if n := told(t, mails); n != failures || len(mails) < maxWaiting || len(mails) > maxWaiting+2 {
			t.Errorf("%d failures, of which %d mails tell %d", failures, len(mails), n)
		}
	})
}

// A server that refuses a mail is not asked again to take it.
func TestRefusal(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.refuse = "550 not you" })
		b.fail("a.task", "1", "no money")
		time.Sleep(defaultInterval / 2)
		if n := b.office.attempts(); n != 1 || b.log.count("is given up") != 1 || b.log.count("not you") != 1 || b.log.count("level=WARN") != 0 {
			t.Errorf("%d sessions, and the log:\n%s", n, b.log)
		}
		b.office.set(func(p *postOffice) { p.refuse = "451 later" })
		b.fail("a.task", "2", "other")
		time.Sleep(time.Minute)
		b.office.none()
		b.office.set(func(p *postOffice) { p.refuse = "" })
		time.Sleep(defaultInterval)
		if mails := b.office.take(); told(t, mails) != 2 || len(mails) != 2 {
			t.Errorf("%q", subjects(mails))
		}
	})
}

func TestMuteServer(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.mute = true })
		b.fail("a.task", "1", "no money")
		time.Sleep(commandTimeout + time.Second)
		if b.log.count("level=WARN") != 1 {
			t.Errorf("the log:\n%s", b.log)
		}
		b.office.set(func(p *postOffice) { p.mute = false })
		time.Sleep(commandTimeout + 2*firstPause)
		b.office.only()
		b.office.set(func(p *postOffice) { p.mute = true })
		b.fail("a.task", "2", "no credit")
		began := time.Now()
		err := b.close(5 * time.Second)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "1 mail about 1 failure could not be sent to smtp://ada@localhost:587") || took != 5*time.Second {
			t.Errorf("closing took %s: %v", took, err)
		}
	})
}

func TestCloseTellsTheRest(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.fail("a.task", "1", "no money")
		b.office.only()
		for n := range 5 {
			b.fail("a.task", fmt.Sprint(n), "no money")
		}
		began := time.Now()
		if err := b.close(time.Minute); err != nil || time.Since(began) > 0 {
			t.Errorf("closing took %s: %v", time.Since(began), err)
		}
		if m := b.office.only(); told(t, []received{m}) != 5 || !strings.Contains(m.body, "5 times a.task\n  no money\n") {
			t.Errorf("%q:\n%s", m.subject, m.body)
		}
		b.fail("a.task", "late", "late")
		b.office.none()
	})
}

// Closing does not wait for the next attempt.
func TestCloseTriesAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.down = true })
		b.fail("a.task", "1", "no money")
		time.Sleep(10 * time.Minute)
		b.office.set(func(p *postOffice) { p.down = false })
		if err := b.close(time.Millisecond); err != nil {
			t.Error(err)
		}
		b.office.only()
	})
}

// There are servers that quote what they do not understand.
func TestPasswordIsConcealed(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.office.set(func(p *postOffice) { p.auth = "535 what is %s? Or s3cret?" })
		b.fail("a.task", "1", "no money")
		time.Sleep(time.Minute)
		if b.log.count("what is AUTH PLAIN ***? Or ***?") == 0 || b.log.count("s3cret") > 0 ||
			b.log.count(base64.StdEncoding.EncodeToString([]byte("\x00ada\x00s3cret"))) > 0 {
			t.Errorf("the log:\n%s", b.log)
		}
	})
}
