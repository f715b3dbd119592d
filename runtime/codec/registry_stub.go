package codec

func newYAML() Serializer { return newMsgpackLike("yaml", "application/x-yaml", reflected{}) }
func newGob() Serializer  { return newMsgpackLike("gob", "application/x-gob", reflected{}) }
