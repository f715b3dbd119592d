package codec

// PositionalEncoder is a [Serializer] that can write arguments by position too, for functions that don't take
// them by name. The built-in ones and those of [NewSerializer] can.
type PositionalEncoder interface {
	Serializer
	// EncodePositional is EncodeCall with what visit visits as args, in that order.
	EncodePositional(visit func(Fields), embed []byte) ([]byte, error)
}

// jsonArgs, msgpackArgs and treeArgs are the Fields that write values without their names.
type (
	jsonArgs    struct{ *jsonWriter }
	msgpackArgs struct{ *msgpackWriter }
	treeArgs    struct {
		*treeWriter
		names *[]string
	}
)

func (w jsonArgs) Field(name string) Value {
	if w.err == nil {
		if w.count > 0 {
			w.buf = append(w.buf, ',')
		}
		w.count++
		w.name = name // for errors
	}
	return w.jsonWriter
}

func (w msgpackArgs) Field(name string) Value {
	if w.err == nil {
		w.name = name
	}
	return w.msgpackWriter
}

func (w treeArgs) Field(name string) Value {
	*w.names = append(*w.names, name)
	return w.treeWriter.Field(name)
}

// countFields is the number of arguments that visit visits.
func countFields(visit func(Fields)) int {
	var n fieldCount
	visit(&n)
	return int(n)
}

type fieldCount int

func (n *fieldCount) Field(string) Value {
	*n++
	return mute{}
}
