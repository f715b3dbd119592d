package control

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// maxBody bounds a request in JSON, in bytes: revocations of 50,000 tasks in a hello take about 5 MB.
	maxBody = 8 << 20
	// maxTree bounds one in msgpack or yaml, which takes more memory to read.
	maxTree = 256 << 10
)

// request is a command to those workers that it is addressed to.
type request struct {
	Method    string                     `json:"method"`
	Arguments map[string]json.RawMessage `json:"arguments"`
	// Destination, if there is one, names the workers. Else Pattern chooses them, in the language of Matcher.
	Destination texts  `json:"destination"`
	Pattern     string `json:"pattern"`
	Matcher     string `json:"matcher"`
	// Ticket and ReplyTo are left out if no answer is wanted.
	Ticket  string   `json:"ticket,omitempty"`
	ReplyTo *address `json:"reply_to,omitempty"`
}

// address is where an answer goes.
type address struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// texts is a list of texts, or one alone, or null.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(t))
	}
	var one *string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*t = nil
	if one != nil {
		*t = texts{*one}
	}
	return nil
}

// readRequest reads what came from outside.
func readRequest(b *task.Broadcast) (*request, error) {
	body, err := asJSON(b)
	if err != nil {
		return nil, err
	}
	r := new(request)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("a request of remote control: %w", err)
	}
	return r, nil
}

// asJSON is the body of a broadcast, which may be in another serializer that Celery's clients use.
func asJSON(b *task.Broadcast) ([]byte, error) {
	limit := maxTree
	if b.ContentType == contentType {
		limit = maxBody
	}
	s, ok := codec.ByContentType(b.ContentType)
	switch {
	case !ok || !slices.Contains([]string{"json", "msgpack", "yaml"}, s.Name()):
		return nil, fmt.Errorf("remote control: content type %.100q is not accepted", b.ContentType)
	case len(b.Body) > limit:
		return nil, fmt.Errorf("remote control: %d bytes of %s are more than the limit of %d", len(b.Body), s.Name(), limit)
	case b.ContentType == contentType:
		return b.Body, nil
	}
	tree, err := s.DecodeTree(b.Body)
	if err != nil {
		return nil, fmt.Errorf("remote control: %w", err)
	}
	return encode(plain(tree))
}

// meant says whether the worker is one of those that the request is for (kombu 5: Mailbox.handle_message).
func (r *request) meant(worker string) bool {
	switch {
	case len(r.Destination) > 0:
		return slices.Contains(r.Destination, worker)
	case r.Pattern != "" && r.Matcher != "":
		return matches(worker, r.Pattern, r.Matcher)
	}
	return true
}

// argument reads an argument; one that is missing or null leaves v as it is.
func (r *request) argument(name string, v any) error {
	raw, ok := r.Arguments[name]
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return pythonError("TypeError", "%s(): the argument %s is of a type that it can't have", r.Method, name)
	}
	return nil
}

// required reads an argument that must be there.
func (r *request) required(name string, v any) error {
	if raw, ok := r.Arguments[name]; !ok || string(raw) == "null" {
		return pythonError("TypeError", "%s() missing 1 required positional argument: '%s'", r.Method, name)
	}
	return r.argument(name, v)
}
