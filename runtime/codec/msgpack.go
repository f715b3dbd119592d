package codec

import (
	"errors"
	"fmt"
	"sync"
)

// msgpackSerializer writes with the msgpack library's Encoder, and reads with
// its Decoder, but only what a [walker] has seen in full. gob is another one,
// with another anyVisitor.
type msgpackSerializer struct {
	name, contentType string
	writers, readers  sync.Pool
}

// anyVisitor carries the values of Value.Any.
type anyVisitor func(v reflectable, p any)

func newMsgpack() Serializer {
	return newMsgpackLike("msgpack", "application/x-msgpack", visitReflected)
}

func newMsgpackLike(name, contentType string, user anyVisitor) Serializer {
	s := &msgpackSerializer{name: name, contentType: contentType}
	s.writers.New = func() any { return newMsgpackWriter(user) }
	s.readers.New = func() any { return newMsgpackReader(user) }
	return s
}

func (s *msgpackSerializer) Name() string            { return s.name }
func (s *msgpackSerializer) ContentType() string     { return s.contentType }
func (s *msgpackSerializer) ContentEncoding() string { return "binary" }

func (s *msgpackSerializer) EncodeCall(visit func(Fields), embed []byte) ([]byte, error) {
	w := s.writer(false)
	defer s.putWriter(w)
	w.buf = append(w.buf, 0x93, 0x90) // a list of three; no positional arguments
	w.fields(visit)
	if embed == nil {
		w.buf = append(w.buf, 0x80)
	} else {
		w.buf = append(w.buf, embed...)
	}
	return w.result()
}

// EncodePositional implements [PositionalEncoder].
func (s *msgpackSerializer) EncodePositional(visit func(Fields), embed []byte) ([]byte, error) {
	w := s.writer(false)
	defer s.putWriter(w)
	w.buf = append(w.buf, 0x93) // a list of three
	w.check(w.enc.EncodeArrayLen(countFields(visit)))
	visit(msgpackArgs{w})
	w.buf = append(w.buf, 0x80) // no arguments by name
	if embed == nil {
		w.buf = append(w.buf, 0x80)
	} else {
		w.buf = append(w.buf, embed...)
	}
	return w.result()
}

func (s *msgpackSerializer) EncodeMap(visit func(Fields)) ([]byte, error) {
	w := s.writer(true)
	defer s.putWriter(w)
	w.fields(visit)
	return w.result()
}

func (s *msgpackSerializer) DecodeCall(body []byte, visit func(Fields)) ([]byte, error) {
	r := s.reader(body, false)
	defer s.putReader(r)
	embed, err := r.indexCall()
	if err != nil {
		return nil, fmt.Errorf("%s body: %w", s.name, err)
	}
	visit(r)
	if r.err != nil {
		return nil, r.err
	}
	return embed, r.args.leftover()
}

func (s *msgpackSerializer) DecodeMap(data []byte, visit func(Fields)) error {
	r := s.reader(data, true)
	defer s.putReader(r)
	if err := r.indexMap(); err != nil {
		return fmt.Errorf("%s data: %w", s.name, err)
	}
	visit(r)
	return r.err
}

func (s *msgpackSerializer) DecodeTree(data []byte) (any, error) {
	r := s.reader(data, true)
	defer s.putReader(r)
	if err := r.whole(); err != nil {
		return nil, fmt.Errorf("%s data: %w", s.name, err)
	}
	tree := r.tree()
	if r.err != nil {
		return nil, fmt.Errorf("%s data: %w", s.name, r.err)
	}
	return tree, nil
}

func (s *msgpackSerializer) writer(result bool) *msgpackWriter {
	w := s.writers.Get().(*msgpackWriter)
	w.failure.reset(result)
	return w
}

func (s *msgpackSerializer) putWriter(w *msgpackWriter) {
	if cap(w.buf) > mostPooled {
		return
	}
	w.failure.reset(false)
	w.levels, w.buf = w.levels[:0], w.buf[:0]
	s.writers.Put(w)
}

func (s *msgpackSerializer) reader(data []byte, result bool) *msgpackReader {
	r := s.readers.Get().(*msgpackReader)
	r.failure.reset(result)
	r.body = data
	r.src.Reset(data)
	r.room.reset(len(data))
	return r
}

func (s *msgpackSerializer) putReader(r *msgpackReader) {
	if len(r.body) > mostPooled {
		return // the decoder's own buffer may be as large
	}
	r.failure.reset(false)
	r.body = nil
	r.src.Reset(nil)
	r.levels = r.levels[:0]
	r.args.reset()
	s.readers.Put(r)
}

// indexCall finds the arguments in a body, [args, kwargs, embed], or in one of
// Celery's first protocol, a map that holds args and kwargs and whose other
// keys are those of an embed, so that it stands for one.
func (r *msgpackReader) indexCall() (embed []byte, err error) {
	w := walker{b: r.body}
	switch t := readToken(r.body, 0); {
	case t.kind == kindMap:
		err = r.indexProtocol1(&w, t)
		embed = r.body
	case t.kind == kindList && t.n == 3:
		embed, err = r.indexThree(&w, t)
	case t.kind == kindList:
		err = fmt.Errorf("want a list of three, [args, kwargs, embed], got one of %d", t.n)
	default:
		err = errors.New("want a list of three, [args, kwargs, embed], got " + t.kind.String())
	}
	return embed, err
}

func (r *msgpackReader) indexThree(w *walker, t token) (embed []byte, err error) {
	at, err := r.indexArgs(w, t.at)
	if err != nil {
		return nil, err
	}
	start, err := r.indexKwargs(w, at)
	if err != nil {
		return nil, err
	}
	end := w.skip(start, 1)
	switch {
	case end < 0:
		return nil, w.err
	case end < len(r.body):
		return nil, errTrailing
	}
	return r.body[start:end:end], nil
}

func (r *msgpackReader) indexProtocol1(w *walker, t token) error {
	args, kwargs, end := -1, -1, t.at
	for range t.n {
		k := readToken(r.body, end)
		value := w.skip(end, 1)
		if value < 0 {
			return w.err
		}
		switch key := r.body[k.at : k.at+k.n]; {
		case k.kind == kindList || k.kind == kindMap:
			return errors.New("a list or map as key of a map")
		case string(key) == "args":
			args = value
		case string(key) == "kwargs":
			kwargs = value
		}
		if end = w.skip(value, 1); end < 0 {
			return w.err
		}
	}
	if end < len(r.body) {
		return errTrailing
	}
	if args < 0 || kwargs < 0 {
		return errProtocol1
	}
	if _, err := r.indexArgs(w, args); err != nil {
		return err
	}
	_, err := r.indexKwargs(w, kwargs)
	return err
}

// indexArgs records the positional arguments of the list at i.
func (r *msgpackReader) indexArgs(w *walker, i int) (end int, err error) {
	t := readToken(r.body, i)
	if t.kind != kindList {
		return 0, errors.New("want a list of arguments, got " + t.kind.String())
	}
	i = t.at
	for range t.n {
		if !r.args.addPositional(i) {
			return 0, errTooManyArguments
		}
		if i = w.skip(i, 2); i < 0 {
			return 0, w.err
		}
	}
	return i, nil
}

// indexKwargs records the entries of the map at i.
func (r *msgpackReader) indexKwargs(w *walker, i int) (end int, err error) {
	t := readToken(r.body, i)
	if t.kind != kindMap {
		return 0, errors.New("want a map of arguments, got " + t.kind.String())
	}
	i = t.at
	for range t.n {
		k := readToken(r.body, i)
		if k.kind != kindString && k.kind != kindBytes {
			return 0, errors.New("want strings as names of arguments, got " + k.kind.String())
		}
		i = k.at + k.n
		if !r.args.addNamed(r.body[k.at:i], i) {
			return 0, errTooManyArguments
		}
		if i = w.skip(i, 2); i < 0 {
			return 0, w.err
		}
	}
	return i, nil
}

// indexMap records the entries of data that is one map.
func (r *msgpackReader) indexMap() error {
	w := walker{b: r.body}
	end, err := r.indexKwargs(&w, 0)
	if err == nil && end < len(r.body) {
		err = errTrailing
	}
	return err
}

// whole walks over data that is any one value.
func (r *msgpackReader) whole() error {
	w := walker{b: r.body}
	end := w.skip(0, 0)
	if w.err == nil && end < len(r.body) {
		return errTrailing
	}
	return w.err
}

var (
	errTrailing  = errors.New("something follows the end of the value")
	errProtocol1 = errors.New("want a list of three, [args, kwargs, embed], or a map with args and kwargs")
)
