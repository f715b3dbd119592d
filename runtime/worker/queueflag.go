package worker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// splitLists is what lists such as "a, b" name, one after the other.
func splitLists(lists []string) []string {
	var out []string
	for _, list := range lists {
		for entry := range strings.SplitSeq(list, ",") {
			out = append(out, strings.TrimSpace(entry))
		}
	}
	return out
}

// parseQueues reads "mail=2,default": queues, with slots of their own or without.
func parseQueues(lists []string) ([]task.QueueConfig, error) {
	var out []task.QueueConfig
	for _, list := range lists {
		for entry := range strings.SplitSeq(list, ",") {
			name, slots, hasSlots := strings.Cut(strings.TrimSpace(entry), "=")
			q := task.QueueConfig{Name: name}
			if hasSlots {
				n, err := strconv.Atoi(slots)
				if err != nil || n < 1 {
					return nil, misuse("-queues: %q: want a number of slots from 1, as in mail=2", entry)
				}
				q.Concurrency = n
			}
			if name == "" {
				return nil, misuse("-queues %q: a queue without a name; want a list as in mail=2,default=8", list)
			}
			if slices.ContainsFunc(out, func(other task.QueueConfig) bool { return other.Name == name }) {
				return nil, misuse("-queues: %q is given twice", name)
			}
			out = append(out, q)
		}
	}
	return out, nil
}
