package control

// command is what a request can ask for.
type command struct {
	// changes says that it does more than tell.
	changes bool
	run     func(*Server, *request) (any, error)
}

// commands are those of a Celery worker (Celery 5.6: celery/worker/control.py), by all the names that clients use.
var commands = map[string]command{
	"ping":          {run: func(*Server, *request) (any, error) { return ok("pong"), nil }},
	"active":        {run: (*Server).active},
	"dump_active":   {run: (*Server).active},
	"reserved":      {run: (*Server).reserved},
	"dump_reserved": {run: (*Server).reserved},
	"scheduled":     {run: (*Server).scheduled},
	"dump_schedule": {run: (*Server).scheduled},
	"revoked":       {run: (*Server).revoked},
	"dump_revoked":  {run: (*Server).revoked},
	"registered":    {run: (*Server).registered},
	"dump_tasks":    {run: (*Server).registered},
	"active_queues": {run: (*Server).activeQueues},
	"query_task":    {run: (*Server).queryTask},
	"stats":         {run: (*Server).stats},
	"conf":          {run: (*Server).conf},
	"dump_conf":     {run: (*Server).conf},
	"report":        {run: (*Server).report},
	"clock":         {run: (*Server).clock},
	"memsample":     {run: func(*Server, *request) (any, error) { return nil, nil }},
	"memdump":       {run: pythonOnly},
	"objgraph":      {run: pythonOnly},
	"hello":         {run: (*Server).hello},
	"heartbeat":     {run: (*Server).heartbeat},

	"revoke":                    {true, (*Server).revoke},
	"terminate":                 {true, (*Server).terminate},
	"revoke_by_stamped_headers": {true, (*Server).revokeStamped},
	"rate_limit":                {true, (*Server).rateLimit},
	"time_limit":                {true, (*Server).timeLimit},
	"add_consumer":              {true, (*Server).addConsumer},
	"cancel_consumer":           {true, (*Server).cancelConsumer},
	"pool_grow":                 {true, (*Server).poolGrow},
	"pool_shrink":               {true, (*Server).poolShrink},
	"pool_restart":              {true, notEnabled("Pool restarts not enabled")},
	"autoscale":                 {true, notEnabled("Autoscale not enabled")},
	"enable_events":             {true, (*Server).enableEvents},
	"disable_events":            {true, (*Server).disableEvents},
	"shutdown":                  {true, (*Server).shutdown},
	"election":                  {true, func(*Server, *request) (any, error) { return nil, errSilent }},
}

// ok is the answer of a command that was carried out.
func ok(text string) map[string]string { return map[string]string{"ok": text} }

// notEnabled answers as a Celery worker does that was started without a feature.
func notEnabled(what string) func(*Server, *request) (any, error) {
	return func(*Server, *request) (any, error) { return nil, pythonError("ValueError", "%s", what) }
}

func pythonOnly(_ *Server, r *request) (any, error) {
	return nil, pythonError("NotImplementedError", "%s looks into the memory of a Python process, and this is a Go worker", r.Method)
}
