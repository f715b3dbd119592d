// Package codec turns calls and results into bytes and back, in the formats
// that Celery speaks.
//
// Generated code visits the arguments of a call ([Fields], [Value] and the
// functions [Int], [String], [Slice] and so on): what the visit does depends on
// who hands out the values. A [Serializer] writes and reads bodies with it,
// [Signature] describes the arguments, [Repr] shows them, [Lookup] finds one.
// Reflection is used for values of users' own types only ([Any]).
//
// # Trust
//
// Messages come from anybody who can write to the broker. Before anything is
// decoded, the form of the whole message is checked in one pass: no length
// beyond the end, lists and maps at most 100 deep, no lists as keys. Memory is
// taken as elements come, and no more than 16 MiB and 16 bytes for each byte
// of the message. An error names the argument and the types, never the value,
// which may be a secret.
//
// # Formats
//
// json is Celery's default. Floats keep a point, integers are exact, what kombu
// wraps ({"__type__": "datetime", …}) is unwrapped; NaN and the infinities are
// written and read as Python does. Text that isn't UTF-8 is an error.
//
// msgpack is the fastest. Text that isn't UTF-8 travels as bin, keys of maps are
// always text, and there are no extension types, all for Python's sake;
// timestamps of the extension type are read.
//
// yaml has all strings quoted, so that YAML 1.1 and 1.2 read the same. It is slow,
// and for small calls: a body of more than some 30,000 values is refused.
//
// gob is msgpack, but for values of users' own types: each is bytes, a gob
// stream of its own, so that what only gob can carry travels too. gob checks its
// input less than the others: one value may take 512 MiB.
//
// [Register] adds others.
package codec
