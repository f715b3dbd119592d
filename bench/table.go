package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

func line(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

func heading(cells ...string) string {
	return line(cells...) + line(slices.Repeat([]string{"---"}, len(cells))...)
}

// text is all that there is to tell, as Markdown.
func (b *bench) text(ctx context.Context) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Made by `%s` in bench/ on %s, in %d rounds, with %s tasks where the row or the system's pace says nothing else:\n%s.\n\n",
		commandLine(), time.Now().Format(time.DateOnly), b.rounds, thousands(b.tasks), machine(ctx))
	if targets := targets(b.rows); len(targets) > 0 {
		text.WriteString(heading("target", "measured (least..most)", "wanted", "verdict"))
		for _, t := range targets {
			text.WriteString(t.line(b.results))
		}
		text.WriteString("\n")
	}
	text.WriteString(b.costOfResults())
	text.WriteString(b.figures())
	text.WriteString("\n")
	for _, s := range b.systems() {
		fmt.Fprintf(&text, "- %s: %s\n", s.Name, s.About)
	}
	return text.String()
}

// costOfResults compares tasks with results to those without.
func (b *bench) costOfResults() string {
	var lines strings.Builder
	for _, s := range ours {
		t := target{of: cell{withResults, s.Name}, against: cell{bothAtOnce, s.Name}}
		if len(b.results[t.of]) == 0 || len(b.results[t.against]) == 0 {
			continue
		}
		columns := []string{s.Name}
		for _, m := range []metric{throughput, senderCPU, workerCPU} {
			t.metric = m
			values, _ := t.values(b.results)
			columns = append(columns, spread(values, 2))
		}
		lines.WriteString(line(columns...))
	}
	if lines.Len() == 0 {
		return ""
	}
	return heading("results that are stored and fetched, against none", "rate", "CPU of the sender", "CPU of the worker") + lines.String() + "\n"
}

// figures is the table of all systems.
func (b *bench) figures() string {
	var text strings.Builder
	text.WriteString(heading("row", "system", "tasks a second (least..most)", "p50 / p99 ms", "CPU ms of 1,000 tasks: sender", "worker", "RSS MB: sender", "worker", "others %"))
	for _, r := range b.rows {
		for _, s := range r.systems {
			results := b.results[cell{r.name, s.Name}]
			of := func(m metric) []float64 {
				values := make([]float64, len(results))
				for i, r := range results {
					values[i] = m(r)
				}
				return values
			}
			waits := ""
			if r.kind == latency {
				waits = number(median(of(p50)), 2) + " / " + number(median(of(func(r result) float64 { return r.p99 })), 2)
			}
			others := of(func(r result) float64 { return r.others * 100 })
			mark := ""
			if slices.Max(others) > noise*100 {
				mark = " †"
			}
			text.WriteString(line(r.name, s.Name, spread(of(throughput), 0), waits,
				unlessNone(of(senderCPU), 1), unlessNone(of(workerCPU), 1),
				unlessNone(of(func(r result) float64 { return r.senderRSS }), 0), unlessNone(of(workerRSS), 0), spread(others, 0)+mark))
		}
	}
	return text.String()
}

// unlessNone is the median, "" if nothing was measured.
func unlessNone(values []float64, digits int) string {
	if median(values) == 0 {
		return ""
	}
	return number(median(values), digits)
}

func spread(values []float64, digits int) string {
	return fmt.Sprintf("%s (%s..%s)", number(median(values), digits), number(slices.Min(values), digits), number(slices.Max(values), digits))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

func number(x float64, digits int) string {
	if digits == 0 {
		return thousands(int(x + 0.5))
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// commandLine is what would make the table again.
func commandLine() string {
	words := []string{"go run ."}
	for _, arg := range os.Args[1:] {
		if strings.ContainsAny(arg, " '\"*?[]()^$|") {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// machine describes it, and what was measured on it.
func machine(ctx context.Context) string {
	parts := []string{
		fmt.Sprintf("%d processors %s, %s of memory, %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"), kernel()),
		strings.Replace(runtime.Version(), "go", "Go ", 1),
	}
	for _, name := range []string{"rabbitmq", "redis", "postgres"} {
		parts = append(parts, versionOf(ctx, servers[name].version))
	}
	parts = append(parts, versionOf(ctx, []string{python(), "-c", "import celery, sys; print('Celery', celery.__version__, 'Python', sys.version.split()[0])"}))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "github.com/rabbitmq/amqp091-go", "github.com/hibiken/asynq", "github.com/riverqueue/river":
				parts = append(parts, module.Path[strings.LastIndex(module.Path, "/")+1:]+" "+module.Version)
			}
		}
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// field is what a file of the kernel says of something.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(text))
}

// versionOf is what a command says of its version, "" if it is not there.
func versionOf(ctx context.Context, command []string) string {
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	if err != nil {
		return ""
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " sha=")
	return strings.Replace(version, "server v=", "", 1)
}
