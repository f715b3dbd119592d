package control

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// TaskInfo is what a worker tells of a task that it has (Celery: Request.info).
type TaskInfo struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Args         any          `json:"args"`
	Kwargs       any          `json:"kwargs"`
	Type         string       `json:"type"`
	Hostname     string       `json:"hostname"`
	TimeStart    *Seconds     `json:"time_start"`
	Acknowledged bool         `json:"acknowledged"`
	DeliveryInfo DeliveryInfo `json:"delivery_info"`
	WorkerPID    *int         `json:"worker_pid"`
}

// DeliveryInfo is how a message came to a worker.
type DeliveryInfo struct {
	Exchange    string `json:"exchange"`
	RoutingKey  string `json:"routing_key"`
	Priority    int    `json:"priority"`
	Redelivered bool   `json:"redelivered"`
}

// ScheduledTask is one that waits for its time.
type ScheduledTask struct {
	ETA      string   `json:"eta"`
	Priority int      `json:"priority"` // of Celery's timer, always the same
	Request  TaskInfo `json:"request"`
}

const timerPriority = 6

// maxArguments is how large arguments are shown as they are, in bytes of JSON; larger ones are shown as text that is cut.
const maxArguments = 4096

func (s *Server) infoOf(t *task.HeldTask, safe bool) TaskInfo {
	info := TaskInfo{
		ID: t.ID, Name: t.Name, Type: t.Name, Hostname: s.name, Acknowledged: t.Acked,
		DeliveryInfo: DeliveryInfo{
			Exchange: t.Delivery.Exchange, RoutingKey: t.Delivery.RoutingKey,
			Priority: 9 - t.Delivery.Priority, Redelivered: t.Delivery.Redelivered, //nolint:mnd // 9 is the highest on the wire
		},
	}
	if t.Shadow != "" {
		info.Name = t.Shadow
	}
	if info.DeliveryInfo.Exchange == "" {
		info.DeliveryInfo.RoutingKey = t.Delivery.Queue
	}
	if !t.Started.IsZero() {
		start, pid := unixSeconds(t.Started), os.Getpid()
		info.TimeStart, info.WorkerPID = &start, &pid
	}
	info.Args, info.Kwargs = arguments(t, safe)
	return info
}

// arguments are those of a task, as text if that is asked for, or if they are large or can't be read.
func arguments(t *task.HeldTask, safe bool) (args, kwargs any) {
	if !safe {
		list, named, ok := t.Arguments()
		if ok {
			args, kwargs = plain(list), plain(named)
			if text, err := encode([]any{args, kwargs}); err == nil && len(text) <= maxArguments {
				return args, kwargs
			}
		}
	}
	return t.ArgumentsText()
}

func (s *Server) infosOf(all []task.HeldTask) []TaskInfo {
	out := make([]TaskInfo, len(all))
	for i := range all {
		out[i] = s.infoOf(&all[i], false)
	}
	return out
}

func (s *Server) active(r *request) (any, error) {
	var safe bool
	if err := r.argument("safe", &safe); err != nil {
		return nil, err
	}
	all := s.worker.Active()
	out := make([]TaskInfo, len(all))
	for i := range all {
		out[i] = s.infoOf(&all[i], safe)
	}
	return out, nil
}

func (s *Server) reserved(*request) (any, error) { return s.infosOf(s.worker.Reserved()), nil }

func (s *Server) scheduled(*request) (any, error) {
	out := []ScheduledTask{}
	for _, t := range s.worker.Scheduled() {
		out = append(out, ScheduledTask{ETA: isoTime(t.Due), Priority: timerPriority, Request: s.infoOf(&t, false)})
	}
	return out, nil
}

func (s *Server) revoked(*request) (any, error) {
	out := []string{}
	for _, r := range s.worker.Revocations() {
		out = append(out, r.ID)
	}
	return out, nil
}

func (s *Server) queryTask(r *request) (any, error) {
	var ids texts
	if err := r.required("ids", &ids); err != nil {
		return nil, err
	}
	out := map[string][2]any{}
	for state, all := range map[string][]task.HeldTask{"active": s.worker.Active(), "reserved": s.worker.Reserved()} {
		for i := range all {
			if slices.Contains(ids, all[i].ID) {
				out[all[i].ID] = [2]any{state, s.infoOf(&all[i], false)}
			}
		}
	}
	return out, nil
}

func (s *Server) clock(*request) (any, error) {
	return map[string]int64{"clock": s.worker.Clock().Now()}, nil
}

func (s *Server) registered(r *request) (any, error) {
	var items []string
	var builtins bool
	if err := r.argument("taskinfoitems", &items); err != nil {
		return nil, err
	}
	if err := r.argument("builtins", &builtins); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		items = []string{"exchange", "routing_key", "rate_limit"}
	}
	out := []string{}
	for _, e := range s.worker.Registry().Entries() {
		if e.BuiltIn() && !builtins {
			continue
		}
		var told []string
		for _, item := range items {
			if value := s.attribute(e, item); value != "" {
				told = append(told, item+"="+value)
			}
		}
		text := e.Name()
		if len(told) > 0 {
			text += " [" + strings.Join(told, " ") + "]"
		}
		out = append(out, text)
	}
	return out, nil
}

// attribute is what Celery would tell of a task under that name; "" if nothing.
func (s *Server) attribute(e *task.Entry, name string) string {
	spec := e.Spec()
	switch name {
	case "name":
		return e.Name()
	case "exchange":
		return spec.Exchange
	case "routing_key":
		return spec.RoutingKey
	case "queue":
		return e.Queue()
	case "serializer":
		return spec.Serializer
	case "compression":
		return spec.Compression
	case "rate_limit":
		if rate := s.worker.RateLimit(e.Name()); rate != task.Unlimited {
			return rate.String()
		}
	case "time_limit":
		if limit := s.worker.TimeLimit(e.Name()); limit != 0 {
			return fmt.Sprint(limit.Seconds())
		}
	case "max_retries":
		if spec.MaxRetries != nil {
			return strconv.Itoa(*spec.MaxRetries)
		}
	case "ignore_result":
		return pythonBool(spec.IgnoreResult)
	case "track_started":
		return pythonBool(spec.TrackStarted)
	case "acks_late":
		return pythonBool(!spec.AckEarly)
	case "signature":
		return e.Signature()
	}
	return ""
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
