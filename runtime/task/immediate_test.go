package task

import "testing"

// A task that was given to a slot is run by it, however little patience is left; after that none is given.
func TestSlotLosesNoTask(t *testing.T) {
	t.Parallel()
	s := newSlots()
	slot, came := s.keep()
	r := &request{message: &Message{Headers: map[string]any{slotHeader: slot}}}
	if !s.give(r) {
		t.Fatal("the slot is not kept")
	}
	if got := s.await(slot, came, 0); got != r {
		t.Errorf("the slot got %v, and the task is lost", got)
	}
	if s.give(r) {
		t.Error("a second task was given to the slot")
	}
	slot, came = s.keep()
	if got := s.await(slot, came, 0); got != nil {
		t.Errorf("a task out of nowhere: %v", got)
	}
	r.message.Headers[slotHeader] = slot
	if s.give(r) {
		t.Error("a task was given to a slot that is not kept any more")
	}
}
