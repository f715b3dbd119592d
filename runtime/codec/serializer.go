package codec

// Serializer turns calls and results into bytes and back. msgpack, json, yaml
// and gob are built in; [Register] adds more.
//
// Implementations are safe for concurrent use.
type Serializer interface {
	// Name is what `//task:serializer` says, such as "json".
	Name() string
	// ContentType and ContentEncoding are the message properties that mark a
	// body of this serializer, such as "application/json" and "utf-8".
	ContentType() string
	ContentEncoding() string
	// EncodeCall writes the body of a task message: [args, kwargs, embed],
	// with what visit visits as kwargs. A nil embed is an empty map; any other
	// must come from DecodeCall of the same serializer.
	EncodeCall(visit func(Fields), embed []byte) ([]byte, error)
	// DecodeCall reads such a body. Arguments may be positional, by name, or
	// mixed. It fails with an *[ArgumentError] if one is missing, unknown,
	// given twice or of another type; the arguments are then in part filled.
	// embed is the third part, as it was encoded; it may share memory with body.
	//
	// A body of Celery's first protocol, a map with args and kwargs, is read
	// too. embed is then that map: it has the keys of one, and more.
	DecodeCall(body []byte, visit func(Fields)) (embed []byte, err error)
	// EncodeMap writes one map of what visit visits: a result message.
	EncodeMap(visit func(Fields)) ([]byte, error)
	// DecodeMap reads one. Fields that the data lacks stay as they are, fields
	// that visit doesn't ask for are ignored.
	DecodeMap(data []byte, visit func(Fields)) error
	// EncodeValue writes the one value that visit visits, and DecodeValue reads one, however it was made.
	EncodeValue(visit func(Value)) ([]byte, error)
	DecodeValue(data []byte, visit func(Value)) error
	// DecodeTree reads any value of this format into nil, bool, int64, uint64
	// (only beyond int64), *big.Int, float64, string, []byte, time.Time, []any
	// and map[string]any: for display, and for arguments whose task is unknown.
	DecodeTree(data []byte) (any, error)
}
