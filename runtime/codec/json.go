package codec

import (
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"
)

// jsonSerializer has a writer and a reader of its own. encoding/json is used
// for users' types only, on text that a [scanner] has checked.
type jsonSerializer struct {
	writers, readers sync.Pool
}

func newJSON() Serializer {
	s := &jsonSerializer{}
	s.writers.New = func() any { return newJSONWriter() }
	s.readers.New = func() any { return new(jsonReader) }
	return s
}

func (s *jsonSerializer) Name() string            { return "json" }
func (s *jsonSerializer) ContentType() string     { return "application/json" }
func (s *jsonSerializer) ContentEncoding() string { return "utf-8" }

func (s *jsonSerializer) EncodeCall(visit func(Fields), embed []byte) ([]byte, error) {
	w := s.writer(false)
	defer s.putWriter(w)
	w.buf = append(w.buf, "[[],"...)
	w.fields(visit)
	w.buf = append(w.buf, ',')
	if embed == nil {
		w.buf = append(w.buf, "{}"...)
	} else {
		w.buf = append(w.buf, embed...)
	}
	w.buf = append(w.buf, ']')
	return w.finish()
}

// EncodePositional implements [PositionalEncoder].
func (s *jsonSerializer) EncodePositional(visit func(Fields), embed []byte) ([]byte, error) {
	w := s.writer(false)
	defer s.putWriter(w)
	w.buf = append(w.buf, "[["...)
	w.count = 0
	visit(jsonArgs{w})
	w.buf = append(w.buf, "],{},"...)
	if embed == nil {
		w.buf = append(w.buf, "{}"...)
	} else {
		w.buf = append(w.buf, embed...)
	}
	w.buf = append(w.buf, ']')
	return w.finish()
}

func (s *jsonSerializer) EncodeMap(visit func(Fields)) ([]byte, error) {
	w := s.writer(true)
	defer s.putWriter(w)
	w.fields(visit)
	return w.finish()
}

func (s *jsonSerializer) DecodeCall(body []byte, visit func(Fields)) ([]byte, error) {
	r := s.reader(body, false)
	defer s.putReader(r)
	embed, err := r.indexCall()
	if err != nil {
		return nil, fmt.Errorf("json body: %w", err)
	}
	visit(r)
	if r.err != nil {
		return nil, r.err
	}
	return embed, r.args.leftover()
}

func (s *jsonSerializer) DecodeMap(data []byte, visit func(Fields)) error {
	r := s.reader(data, true)
	defer s.putReader(r)
	if err := r.indexMap(); err != nil {
		return fmt.Errorf("json data: %w", err)
	}
	visit(r)
	return r.err
}

func (s *jsonSerializer) DecodeTree(data []byte) (any, error) {
	tree, err := jsonTree(data)
	if err != nil {
		return nil, fmt.Errorf("json data: %w", err)
	}
	return tree, nil
}

func (s *jsonSerializer) writer(result bool) *jsonWriter {
	w := s.writers.Get().(*jsonWriter)
	w.failure.reset(result)
	return w
}

func (s *jsonSerializer) putWriter(w *jsonWriter) {
	if cap(w.buf) > mostPooled {
		return
	}
	w.failure.reset(false)
	w.levels, w.buf = w.levels[:0], w.buf[:0]
	s.writers.Put(w)
}

func (s *jsonSerializer) reader(data []byte, result bool) *jsonReader {
	r := s.readers.Get().(*jsonReader)
	r.failure.reset(result)
	r.text, r.pos = data, 0
	r.room.reset(len(data))
	return r
}

func (s *jsonSerializer) putReader(r *jsonReader) {
	if len(r.text) > mostPooled {
		return
	}
	r.failure.reset(false)
	r.text = nil
	r.levels = r.levels[:0]
	r.args.reset()
	s.readers.Put(r)
}

var errNotUTF8 = errors.New("not valid UTF-8")

// indexCall finds the arguments in a body, [args, kwargs, embed], or in one of
// Celery's first protocol, a map that holds args and kwargs and whose other
// keys are those of an embed, so that it stands for one.
func (r *jsonReader) indexCall() (embed []byte, err error) {
	if !utf8.Valid(r.text) {
		return nil, errNotUTF8
	}
	s := scanner{text: r.text}
	at := s.space(0)
	end := 0
	switch r.kindAt(at) {
	case kindList:
		embed, end = r.indexThree(&s, at)
	case kindMap:
		embed, end = r.text, r.indexProtocol1(&s, at)
	default:
		if s.skip(at, 0) >= 0 {
			s.err = errors.New("want a list of three, [args, kwargs, embed], got " + r.kindAt(at).String())
		}
	}
	if s.err == nil && s.space(end) < len(r.text) {
		s.err = errTrailing
	}
	return embed, s.err
}

func (r *jsonReader) indexThree(s *scanner, i int) (embed []byte, end int) {
	n := 0
	at, done := s.first(i, ']')
	for ; !done; n++ {
		start := at
		switch n {
		case 0:
			at = r.indexArgs(s, at)
		case 1:
			at = r.indexKwargs(s, at)
		default:
			at = s.skip(at, 1)
		}
		if at < 0 {
			return nil, at
		}
		embed = r.text[start:at:at]
		at, done = s.more(at, ']')
	}
	if n != 3 && s.err == nil {
		s.err = fmt.Errorf("want a list of three, [args, kwargs, embed], got one of %d", n)
	}
	return embed, at
}

func (r *jsonReader) indexProtocol1(s *scanner, i int) (end int) {
	args, kwargs := -1, -1
	at, done := s.first(i, '}')
	for !done {
		keyEnd, value := s.key(at)
		if value < 0 {
			return value
		}
		switch string(r.text[at:keyEnd]) {
		case `"args"`:
			args = value
		case `"kwargs"`:
			kwargs = value
		}
		if at = s.skip(value, 1); at < 0 {
			return at
		}
		at, done = s.more(at, '}')
	}
	switch {
	case s.err != nil:
	case args < 0 || kwargs < 0:
		s.err = errProtocol1
	case r.indexArgs(s, args) >= 0:
		r.indexKwargs(s, kwargs)
	}
	return at
}

// indexArgs records the positional arguments of the list at i.
func (r *jsonReader) indexArgs(s *scanner, i int) (end int) {
	if k := r.kindAt(i); k != kindList {
		if s.skip(i, 1) >= 0 {
			s.err = errors.New("want a list of arguments, got " + k.String())
		}
		return -1
	}
	at, done := s.first(i, ']')
	for !done {
		if !r.args.addPositional(at) {
			s.err = errTooManyArguments
			return -1
		}
		if at = s.skip(at, 2); at < 0 {
			return at
		}
		at, done = s.more(at, ']')
	}
	return at
}

// indexKwargs records the entries of the map at i.
func (r *jsonReader) indexKwargs(s *scanner, i int) (end int) {
	if k := r.kindAt(i); k != kindMap {
		if s.skip(i, 1) >= 0 {
			s.err = errors.New("want a map of arguments, got " + k.String())
		}
		return -1
	}
	at, done := s.first(i, '}')
	for !done {
		keyEnd, value := s.key(at)
		if value < 0 {
			return value
		}
		if !r.args.addNamed(r.unquote(r.text[at:keyEnd]), value) {
			s.err = errTooManyArguments
			return -1
		}
		if at = s.skip(value, 2); at < 0 {
			return at
		}
		at, done = s.more(at, '}')
	}
	return at
}

// indexMap records the entries of data that is one map.
func (r *jsonReader) indexMap() error {
	if !utf8.Valid(r.text) {
		return errNotUTF8
	}
	s := scanner{text: r.text}
	end := r.indexKwargs(&s, s.space(0))
	if s.err == nil && s.space(end) < len(r.text) {
		return errTrailing
	}
	return s.err
}
