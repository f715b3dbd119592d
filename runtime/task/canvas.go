package task

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// canvas turns signatures into messages, as Celery does it, and notes what else is to be done for them.
type canvas struct {
	// serializer is the one that the values in the signatures are encoded by.
	serializer codec.Serializer
	// lookup finds what this process knows of a task; nil for nothing.
	lookup func(name string) *Spec
	origin string
	// queue takes what says nothing of its queue, and is not known here.
	queue   string
	maxBody int
	now     time.Time
	// root and parent are the ids of those tasks, "" if no task sends this.
	root, parent string
	// seed makes the ids of signatures that carry none, always the same ones: a run that is repeated sends the same
	// again. "": each is new.
	seed string
	ids  int

	messages []*Message
	children []child
	// starts are the chords that must be known before the messages are sent.
	starts []chordStart
	// ended are the groups whose chord has been completed.
	ended []string
	// others are results of tasks that won't run.
	others []*Result
}

type chordStart struct {
	group string
	size  int
}

// place is what a signature is given where it is sent, besides what it has.
type place struct {
	// partial stands in front of the arguments.
	partial         [][]byte
	links, errlinks []*signature
	// chain is what follows, the next one last.
	chain []*signature
	// chord, group and index are as in a signature.
	chord *signature
	group string
	index int
	// member says that the children are noted by the group.
	member bool
}

// seedSpace makes ids of ours differ from other UUIDs that are hashes.
var seedSpace = uuid.MustParse("5f0c8a2e-3e0b-4c55-9d0e-6d1b8a5f7c41")

func (c *canvas) id() string {
	if c.seed == "" {
		return uuid.Must(uuid.NewV7()).String()
	}
	c.ids++
	return uuid.NewSHA1(seedSpace, []byte(c.seed+"/"+strconv.Itoa(c.ids))).String()
}

// freeze gives ids to all that have none, so that each copy of a signature has the same. id is what the end gets, "" for any.
func (c *canvas) freeze(s *signature, id string) {
	if s.id == "" {
		s.id = id
	}
	switch s.kind {
	case kindChain:
		for _, step := range s.tasks[:len(s.tasks)-1] {
			c.freeze(step, "")
		}
		c.freeze(s.tasks[len(s.tasks)-1], s.id)
		return
	case kindChord:
		c.freeze(s.body, s.id)
		c.freeze(s.header, "")
		return
	case kindGroup:
		for _, member := range s.tasks {
			c.freeze(member, "")
		}
	}
	if s.id == "" {
		s.id = c.id()
	}
}

// send makes the messages of a signature whose first arguments are partial.
func (c *canvas) send(s *signature, partial ...[]byte) error {
	return c.sendAt(s, place{partial: partial, index: noIndex})
}

func (c *canvas) sendAt(s *signature, p place) error {
	c.freeze(s, "")
	return c.apply(s, p)
}

// apply makes the messages of a signature at its place.
func (c *canvas) apply(s *signature, p place) error {
	p.links = slices.Concat(s.links, p.links)
	p.errlinks = slices.Concat(s.errlinks, p.errlinks)
	p.chain = slices.Concat(p.chain, s.chain)
	if s.immutable {
		p.partial = nil
	}
	p.partial = slices.Concat(p.partial, s.args)
	if p.chord == nil {
		p.chord = s.chord
	}
	if p.group == "" {
		p.group, p.index = s.group, s.index
	}
	switch s.kind {
	case kindGroup:
		return c.group(s, p)
	case kindChain:
		return c.chain(s, p)
	case kindChord:
		return c.chord(s, p)
	}
	return c.call(s, p)
}

// group sends all members of a group. If something follows, that is the body of a chord.
func (c *canvas) group(s *signature, p place) error {
	if len(p.chain) > 0 {
		body := slices.Clone(p.chain)
		slices.Reverse(body)
		p.chain = nil
		whole := chordOf(s, single(body))
		c.freeze(whole, "")
		return c.chord(whole, p)
	}
	if p.chord != nil && p.group != "" {
		// The end of a chain that is itself a part of a chord: each of the group is one, and counted there.
		return c.members(s, p.group, p)
	}
	if p.chord != nil {
		c.starts = append(c.starts, chordStart{s.id, s.size()})
	}
	return c.members(s, s.id, p)
}

// members sends the members of a group, and those of groups in it.
func (c *canvas) members(s *signature, group string, p place) error {
	members := flatten(nil, s.tasks)
	if !p.member {
		c.children = append(c.children, child{id: s.id, group: true, members: ends(members)})
	}
	for i, member := range members {
		at := place{partial: p.partial, links: p.links, errlinks: p.errlinks, chord: p.chord, group: group, index: i, member: true}
		if err := c.apply(member, at); err != nil {
			return err
		}
	}
	return nil
}

func flatten(out, tasks []*signature) []*signature {
	for _, t := range tasks {
		if t.kind == kindGroup {
			out = flatten(out, t.tasks)
		} else {
			out = append(out, t)
		}
	}
	return out
}

// ends are the ids of those tasks whose results are those of a group's members.
func ends(members []*signature) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.end().id
	}
	return out
}

// chain sends the first step, and has it carry the others.
func (c *canvas) chain(s *signature, p place) error {
	steps := slices.Clone(s.tasks)
	for i := len(steps) - 2; i >= 0; i-- {
		if steps[i].kind == kindGroup { // a group that something follows is the header of a chord
			steps[i] = chordOf(steps[i], steps[i+1])
			c.freeze(steps[i], "")
			steps = slices.Delete(steps, i+1, i+2)
		}
	}
	for i, step := range steps {
		own := *step
		own.errlinks = slices.Concat(step.errlinks, p.errlinks)
		steps[i] = &own
	}
	last := steps[len(steps)-1]
	last.links = slices.Concat(last.links, p.links)
	if p.chord != nil {
		last.chord = p.chord
	}
	if p.group != "" {
		last.group, last.index = p.group, p.index
	}
	rest := steps[1:]
	slices.Reverse(rest)
	return c.apply(steps[0], place{partial: p.partial, chain: slices.Concat(p.chain, rest), index: noIndex, member: p.member})
}

// chord sends the header's members, each of which carries the body.
func (c *canvas) chord(s *signature, p place) error {
	group := s.header.id
	body := *s.body
	body.chain = slices.Concat(p.chain, body.chain)
	body.links = slices.Concat(body.links, p.links)
	body.errlinks = slices.Concat(body.errlinks, p.errlinks)
	if p.chord != nil {
		body.chord = p.chord
	}
	if body.group = group; p.group != "" {
		body.group, body.index = p.group, p.index
	}
	if s.header.size() == 0 {
		empty, err := c.serializer.EncodeValue(func(v codec.Value) {
			v.List(0)
			v.End()
		})
		if err != nil {
			return err
		}
		return c.apply(&body, place{partial: [][]byte{empty}, index: noIndex, member: p.member})
	}
	c.starts = append(c.starts, chordStart{group, s.header.size()})
	return c.members(s.header, group, place{partial: p.partial, chord: &body, member: p.member})
}

// single is a chain of several, or the one.
func single(steps []*signature) *signature {
	if len(steps) == 1 {
		return steps[0]
	}
	return chainOf(steps)
}

// call makes the message of a plain call.
func (c *canvas) call(s *signature, p place) error {
	m, err := c.message(s, p)
	if err != nil {
		return fmt.Errorf("the call of task %s: %w", s.task, err)
	}
	if !p.member {
		c.children = append(c.children, child{id: s.id})
	}
	c.messages = append(c.messages, m)
	return nil
}

func (c *canvas) message(s *signature, p place) (*Message, error) {
	d := &s.delivery
	serializer := c.serializer
	if d.serializer != "" {
		named, ok := codec.ByName(d.serializer)
		if !ok {
			return nil, fmt.Errorf("serializer %q is not registered", d.serializer)
		}
		serializer = named
	}
	m := &Message{
		ID: s.id, Task: s.task, ReplyTo: s.replyTo, Mandatory: true,
		ContentType: serializer.ContentType(), ContentEncoding: serializer.ContentEncoding(),
		Headers: map[string]any{
			"lang": "go", "task": s.task, "id": s.id, "root_id": or(c.root, s.id), "retries": int32(0), "origin": c.origin,
		},
	}
	if c.parent != "" {
		m.Headers["parent_id"] = c.parent
	}
	if p.group != "" {
		m.Headers["group"] = p.group
		if p.index != noIndex {
			m.Headers["group_index"] = int32(p.index)
		}
	}
	if err := d.putHeaders(m.Headers); err != nil {
		return nil, err
	}
	if err := c.route(m, d); err != nil {
		return nil, err
	}
	t := &transcoder{from: c.serializer, to: serializer}
	follows := &embed{callbacks: p.links, errbacks: p.errlinks, chain: p.chain, chord: p.chord}
	body, err := serializer.EncodeValue(func(v codec.Value) {
		v.List(3)
		t.rawList(v, p.partial)
		writeEntries(v, t.fields(s.kwargs))
		follows.write(v, t)
		v.End()
	})
	if err = errors.Join(err, t.err); err != nil {
		return nil, err
	}
	if m.Body, err = compress(d.compression, body, m.Headers); err != nil {
		return nil, err
	}
	if len(m.Body) > c.maxBody {
		return nil, fmt.Errorf("the message has %d bytes, more than the limit of %d", len(m.Body), c.maxBody)
	}
	return m, nil
}

// route sets destination and time. A task that this process knows goes where its directives say, unless the signature says more;
// any other goes to the queue that the message of the task before it came from. (Celery: the default queue of the worker.)
func (c *canvas) route(m *Message, d *delivery) error {
	spec := &Spec{Queue: c.queue}
	if c.lookup != nil {
		if known := c.lookup(m.Task); known != nil && !perCall(known.queue()) && !perCall(known.RoutingKey) {
			spec = known
		}
	}
	o, err := newCallOptions(spec, nil)
	if err != nil {
		return err
	}
	switch {
	case d.exchange != "":
		o.exchange, o.exchangeType, o.routingKey = d.exchange, d.exchangeType, or(d.routingKey, d.queue)
	case d.queue != "" || d.routingKey != "":
		o.queue, o.exchange, o.routingKey = or(d.queue, d.routingKey), "", ""
	}
	o.eta = d.eta
	if d.countdown > 0 {
		o.countdown = &d.countdown
	}
	switch {
	case d.expiresIn > 0:
		o.expires = c.now.Add(d.expiresIn)
	case !d.expires.IsZero():
		o.expires = d.expires
	}
	// There are no arguments here that a key could name.
	if err := o.route(m, func(codec.Fields) {}, c.now); err != nil {
		return err
	}
	m.Bind = m.Bind && m.Exchange == spec.Exchange
	if d.priority > 0 {
		m.Priority, m.Prioritized = d.priority, true
	}
	m.Mandatory = true
	return nil
}
