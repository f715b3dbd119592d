package worker

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/build"
	"github.com/taskgen/taskgen/runtime/task"
)

// banner is what a worker says of itself when it starts.
type banner struct {
	worker, version, broker, remark string
	results                         string // the store of results, "": none but the broker
	concurrency                     int
	drain                           time.Duration
	health                          string // where probes are answered, "": nowhere
	queues                          []task.QueueConfig
	tasks                           []taskInfo
	builtIn                         []string
}

func newBanner(t task.Transport, r *task.Registry, config task.WorkerConfig, health string) *banner {
	b := &banner{
		worker: config.Name, version: build.Version(), broker: t.String(),
		concurrency: config.Concurrency, queues: config.Queues,
		// A drain of no time at all is one nanosecond in the config.
		drain: config.Drain.Truncate(time.Millisecond), health: health,
	}
	if s := task.StoreOf(t); s != nil {
		b.results = s.String()
	}
	for _, e := range r.Entries() {
		if e.BuiltIn() {
			b.builtIn = append(b.builtIn, e.Name())
		} else {
			b.tasks = append(b.tasks, describe(e))
		}
	}
	if path, embedded := strings.CutPrefix(b.broker, "sqlite:"); embedded {
		b.remark = homeless(path)
	}
	return b
}

// homeless explains a database in the working directory for want of a module. The clients
// must run in the same one to find it.
func homeless(path string) string {
	folder := filepath.Dir(path)
	if filepath.Base(folder) != ".taskgen" {
		return ""
	}
	for above := filepath.Dir(folder); ; above = filepath.Dir(above) {
		if _, err := os.Stat(filepath.Join(above, "go.mod")); err == nil {
			return ""
		}
		if above == filepath.Dir(above) {
			return "no go.mod above: clients must run here too, or be given this path"
		}
	}
}

// text is the banner for people.
func (b *banner) text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n  %s\n  taskgen %s, %s, process %d\n\n", b.worker, b.version, runtime.Version(), os.Getpid())
	about := newTable("  ")
	about.add("broker", b.broker)
	if b.remark != "" {
		about.add("", b.remark)
	}
	if b.results != "" {
		about.add("results", b.results)
	}
	about.add("concurrency", strconv.Itoa(b.concurrency))
	about.add("drain", b.drain.String())
	if b.health != "" {
		about.add("health", "http://"+b.health+"/livez and /readyz")
	}
	out.WriteString(about.String())
	b.block(&out, "queues", len(b.queues), func(i int) []string {
		q := b.queues[i]
		slots := "shared slots"
		if q.Concurrency > 0 {
			slots = plural(q.Concurrency, "slot")
		}
		return []string{q.Name, slots, fmt.Sprint("prefetch ", q.Prefetch)}
	})
	b.block(&out, "tasks", len(b.tasks), func(i int) []string {
		t := b.tasks[i]
		return []string{t.Name, t.Queue, strings.Join(t.Options, " ")}
	})
	fmt.Fprintf(&out, "\n  built in: %s\n\n", strings.Join(b.builtIn, ", "))
	return out.String()
}

// block writes lines of cells in columns under a heading.
func (b *banner) block(out *strings.Builder, heading string, n int, cells func(i int) []string) {
	fmt.Fprintf(out, "\n  %s\n", heading)
	table := newTable("    ")
	for i := range n {
		table.add(cells(i)...)
	}
	out.WriteString(cmp.Or(table.String(), "    none\n"))
}

// log is the banner as one record.
func (b *banner) log(log *slog.Logger) {
	var queues, tasks []string
	for _, q := range b.queues {
		queues = append(queues, q.Name)
	}
	for _, t := range b.tasks {
		tasks = append(tasks, t.Name)
	}
	log.Info("starting", "worker", b.worker, "taskgen", b.version, "go", runtime.Version(), "process", os.Getpid(),
		"broker", b.broker, "results", b.results, "concurrency", b.concurrency, "drain", b.drain, "health", b.health, "queues", queues, "tasks", tasks)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}
