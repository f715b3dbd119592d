package load_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/internal/gen"
	"github.com/taskgen/taskgen/internal/golden"
)

// The budgets of a run on a module with 100 packages and heavy dependencies.
const (
	oneWarm  = 1000 * time.Millisecond // one package, the second time
	oneCold  = 5 * time.Second         // one package, empty build cache
	manyWarm = 1500 * time.Millisecond // twenty packages in one run
	upToDate = 50 * time.Millisecond   // twenty packages, nothing to do
)

const (
	modulePackages = 100
	taskPackages   = 20
)

// BenchmarkGenerate measures whole runs, from patterns to bytes, and fails
// where even the fastest is over its budget. The first time it downloads the Kubernetes client.
func BenchmarkGenerate(b *testing.B) {
	dir := heavyModule(b)
	generate := func(b *testing.B, config gen.Config) {
		b.Helper()
		config.Dir = dir
		out, err := gen.Generate(context.Background(), config)
		if err != nil {
			b.Fatal(err)
		}
		if len(out.Diagnostics) > 0 {
			b.Fatal(out.Diagnostics.Format(dir))
		}
		if config.Cache != "" {
			if err := gen.Commit(out); err != nil {
				b.Fatal(err)
			}
		}
	}
	measure := func(name string, budget time.Duration, config func(b *testing.B) gen.Config) {
		b.Run(name, func(b *testing.B) {
			fastest := time.Hour
			for b.Loop() {
				b.StopTimer()
				c := config(b)
				b.StartTimer()
				start := time.Now()
				generate(b, c)
				fastest = min(fastest, time.Since(start))
			}
			b.ReportMetric(fastest.Seconds(), "fastest-s")
			if fastest > budget { // the mean says more of what else the machine does
				b.Errorf("the fastest run takes %v, the budget is %v", fastest, budget)
			}
		})
	}
	one, all := []string{"./p00"}, []string{"./..."}
	generate(b, gen.Config{Patterns: one})
	measure("one/warm", oneWarm, func(*testing.B) gen.Config { return gen.Config{Patterns: one} })
	measure("many/warm", manyWarm, func(*testing.B) gen.Config { return gen.Config{Patterns: all} })
	measure("one/cold", oneCold, func(b *testing.B) gen.Config {
		return gen.Config{Patterns: one, Env: append(os.Environ(), "GOCACHE="+b.TempDir())}
	})
	upToDateConfig := gen.Config{Patterns: all, Cache: b.TempDir()}
	generate(b, upToDateConfig)
	measure("many/uptodate", upToDate, func(*testing.B) gen.Config { return upToDateConfig })
}

// heavyModule writes a module with many packages, of which some have tasks.
func heavyModule(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	golden.Module(b, dir, "example.com/heavy")
	for i := range modulePackages {
		writeFile(b, filepath.Join(dir, fmt.Sprintf("p%02d", i), "p.go"), packageSource(i))
	}
	command(b, dir, "go", "get", "k8s.io/client-go/kubernetes@v0.37.0", "k8s.io/api/core/v1@v0.37.0", "k8s.io/apimachinery/pkg/apis/meta/v1@v0.37.0")
	return dir
}

// packageSource is package i: its functions use the client and what is about to be
// generated; the signatures of its tasks use types of Kubernetes, of the standard library and
// of another package of the module.
func packageSource(i int) string {
	directive := "//task:queue heavy"
	if i >= taskPackages {
		directive = "// no task"
	}
	next := i + taskPackages
	imports, field := "", ""
	if next < modulePackages {
		imports = fmt.Sprintf("\"example.com/heavy/p%02d\"", next)
		field = fmt.Sprintf("Next p%02d.Request", next)
	}
	var functions strings.Builder
	for j := range 40 {
		fmt.Fprintf(&functions, `
// helper%d is what packages are full of.
func helper%[1]d(ctx context.Context, c kubernetes.Interface, name string) (*corev1.Pod, error) {
	pod, err := c.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return pod, nil
}
`, j)
	}
	return fmt.Sprintf(`package p%02d

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	%s
)

type Request struct {
	Namespace string
	Selector  metav1.LabelSelector
	Spec      corev1.PodSpec
	Since     time.Time
	client    kubernetes.Interface
	%s
}

// sync brings the pods in line.
//
%s
func sync(ctx context.Context, r Request, labels map[string]string, ids ...int64) (*metav1.Status, error) {
	_, _ = Sync.Delay(ctx, r, labels, ids...)
	_, err := helper0(ctx, r.client, r.Namespace)
	return nil, err
}
%s`, i, imports, field, directive, functions.String())
}

func command(b *testing.B, dir, name string, args ...string) {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Skipf("the modules for this benchmark can't be had here: %s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func writeFile(b testing.TB, path, text string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		b.Fatal(err)
	}
}
