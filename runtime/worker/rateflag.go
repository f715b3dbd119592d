package worker

import (
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// parseRateLimits reads entries such as "createUser=10/m".
func parseRateLimits(entries []string, tasks *catalog) (map[string]task.Rate, error) {
	limits := map[string]task.Rate{}
	for _, entry := range entries {
		name, text, _ := strings.Cut(entry, "=")
		if text == "" {
			return nil, misuse("-rate-limit %q: want NAME=RATE, such as users.createUser=10/m", entry)
		}
		rate, err := task.ParseRate(text)
		if err != nil {
			return nil, misuse("-rate-limit %s: %w", name, err)
		}
		e, err := tasks.find(name)
		if err != nil {
			return nil, misuse("-rate-limit: %w", err)
		}
		if _, exists := limits[e.Name()]; exists {
			return nil, misuse("-rate-limit: %s is given twice", e.Name())
		}
		limits[e.Name()] = rate
	}
	return limits, nil
}
