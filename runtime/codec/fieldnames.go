package codec

// FieldNames are the names of the arguments that visit visits, in their order.
func FieldNames(visit func(Fields)) []string {
	var names fieldNames
	visit(&names)
	return names
}

// fieldNames is the Fields that collects names.
type fieldNames []string

func (n *fieldNames) Field(name string) Value {
	*n = append(*n, name)
	return mute{}
}
