package control

import (
	"fmt"

	"github.com/taskgen/taskgen/runtime/task"
)

// Mode says how much others may do with a worker.
type Mode int

const (
	// Full answers every command, as a Celery worker does.
	Full Mode = iota
	// Read answers questions, and refuses what changes anything.
	Read
	// Off does not listen.
	Off
)

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	for _, m := range []Mode{Full, Read, Off} {
		if m.String() == name {
			return m, nil
		}
	}
	return Full, fmt.Errorf("%q is no mode of remote control: there are full, read and off", name)
}

func (m Mode) String() string {
	switch m {
	case Read:
		return "read"
	case Off:
		return "off"
	}
	return "full"
}

// Events is what sends a worker's events.
type Events interface {
	// Enable and Disable switch the events of tasks, and say whether that changed anything.
	Enable() bool
	Disable() bool
	// Heartbeat sends the event that says that the worker is there.
	Heartbeat()
}

// Config says what a [Server] answers. Worker must be set.
type Config struct {
	// Worker is who is controlled.
	Worker *task.Worker
	// Mode is Full by default.
	Mode Mode
	// Events are those of the worker. nil: it sends none.
	Events Events
	// Software names the program in reports, such as "taskgen:1.2.3 go:1.26". "": only what is known of the runtime.
	Software string
}

// noEvents takes the place of Events.
type noEvents struct{}

func (noEvents) Enable() bool  { return false }
func (noEvents) Disable() bool { return false }
func (noEvents) Heartbeat()    {}
