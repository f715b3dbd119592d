package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// root is the repository.
const root = ".."

// server is a broker or database, started by a script of the repository.
type server struct {
	script  string
	args    []string // after start
	pidFile string   // under .build
	version []string // prints it
}

var servers = map[string]server{
	"rabbitmq": {"rabbitmq.sh", []string{"bench"}, "rabbitmq/bench/pid", []string{"dpkg-query", "-W", "-f", "RabbitMQ ${Version}", "rabbitmq-server"}},
	"redis":    {"redis.sh", []string{"bench", "--appendonly", "yes", "--appendfsync", "everysec"}, "redis/bench/pid", []string{"redis-server", "--version"}},
	"postgres": {"postgres.sh", nil, "postgres/data/postmaster.pid", []string{"dpkg-query", "-W", "-f", "PostgreSQL ${Version}", "postgresql-15"}},
}

// open starts the server, unless it runs, and returns its URL.
func (s server) open(ctx context.Context) (string, error) {
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", s.script), append([]string{"start"}, s.args...)...)
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", s.script, err, &problems)
	}
	return strings.TrimSpace(string(out)), nil
}

// pid is the server's process, 0 if it does not run.
func (s server) pid() int {
	text, _ := os.ReadFile(filepath.Join(root, ".build", s.pidFile))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// embedded is the URL of the embedded broker. It is on the disk of the repository: what is in memory needs no fsync.
func embedded() (string, error) {
	path, err := filepath.Abs(filepath.Join(root, ".build", "bench", "broker"))
	return "sqlite:" + path, err
}

// python is the interpreter that has Celery; installCelery finds it.
func python() string { return celeryPython }

var celeryPython = "python3"

func installCelery(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, filepath.Join(root, "scripts", "celery.sh")).Output()
	if err != nil {
		return fmt.Errorf("celery.sh: %w", err)
	}
	celeryPython = strings.TrimSpace(string(out))
	return nil
}
