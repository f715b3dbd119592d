package task

import "github.com/taskgen/taskgen/runtime/codec"

// Serializer turns calls and results into bytes. Make one with
// [codec.NewSerializer].
type Serializer = codec.Serializer

// RegisterSerializer makes a serializer known under its name, for
// `//task:serializer NAME`, in clients and workers alike. Call it from an init function.
func RegisterSerializer(s Serializer) error { return codec.Register(s) }
