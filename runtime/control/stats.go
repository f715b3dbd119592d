package control

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// workerStats is what a worker tells of itself (Celery: WorkController.stats). Flower can't show a worker whose broker,
// pool or total is null.
type workerStats struct {
	Total         map[string]int64 `json:"total"`
	PID           int              `json:"pid"`
	Clock         string           `json:"clock"`
	Uptime        int              `json:"uptime"`
	Pool          poolStats        `json:"pool"`
	Broker        brokerStats      `json:"broker"`
	PrefetchCount int              `json:"prefetch_count"`
	RUsage        any              `json:"rusage"`
	// Taskgen is what Celery has no place for.
	Taskgen task.Stats `json:"taskgen"`
}

type poolStats struct {
	Implementation     string `json:"implementation"`
	MaxConcurrency     int    `json:"max-concurrency"`
	Processes          []int  `json:"processes"`
	MaxTasksPerChild   string `json:"max-tasks-per-child"`
	GuardedBySemaphore bool   `json:"put-guarded-by-semaphore"`
	Timeouts           []int  `json:"timeouts"`
	Writes             string `json:"writes"`
}

type brokerStats struct {
	Hostname           string            `json:"hostname"`
	UserID             string            `json:"userid"`
	VirtualHost        string            `json:"virtual_host"`
	Port               int               `json:"port"`
	Insist             bool              `json:"insist"`
	SSL                bool              `json:"ssl"`
	Transport          string            `json:"transport"`
	ConnectTimeout     int               `json:"connect_timeout"`
	TransportOptions   map[string]string `json:"transport_options"`
	LoginMethod        string            `json:"login_method"`
	URIPrefix          *string           `json:"uri_prefix"`
	Heartbeat          Seconds           `json:"heartbeat"`
	FailoverStrategy   string            `json:"failover_strategy"`
	Alternates         []string          `json:"alternates"`
	CredentialProvider *string           `json:"credential_provider"`
}

func (s *Server) stats(*request) (any, error) {
	own := s.worker.Stats()
	out := workerStats{
		Total: map[string]int64{}, PID: os.Getpid(), Clock: strconv.FormatInt(s.worker.Clock().Now(), 10),
		Uptime: int(time.Since(s.started).Seconds()), Broker: brokerOf(s.worker.Transport().String()), RUsage: resourceUsage(), Taskgen: own,
		Pool: poolStats{
			Implementation: "taskgen:goroutines", MaxConcurrency: s.worker.Slots(), Processes: []int{os.Getpid()},
			MaxTasksPerChild: "N/A", Timeouts: []int{0, 0}, Writes: "N/A",
		},
	}
	for _, t := range own.Tasks {
		out.Total[t.Name] = t.Succeeded + t.Failed + t.Retried
	}
	for _, q := range s.worker.Queues() {
		out.PrefetchCount += q.Prefetch
	}
	return out, nil
}

// brokerOf takes the name of a broker apart, which has no password.
func brokerOf(name string) brokerStats {
	out := brokerStats{TransportOptions: map[string]string{}, Alternates: []string{}, FailoverStrategy: "round-robin", LoginMethod: "PLAIN"}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		out.Transport, out.Hostname, _ = strings.Cut(name, ":")
		return out
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		host = u.Host
	}
	out.Port, _ = strconv.Atoi(port)
	out.Hostname, out.UserID, out.Transport, out.SSL = host, u.User.Username(), strings.TrimSuffix(u.Scheme, "s"), strings.HasSuffix(u.Scheme, "s")
	if out.VirtualHost = strings.TrimPrefix(u.Path, "/"); out.VirtualHost == "" {
		out.VirtualHost = "/"
	}
	return out
}
