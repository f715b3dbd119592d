package codec

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"time"
)

// valueName is what errors call a value that stands alone.
const valueName = "value"

// WriteTree writes a tree of [Serializer.DecodeTree]: a value on its way from one serializer to another.
func WriteTree(v Value, tree any) {
	switch x := tree.(type) {
	case nil:
		v.Present(false)
	case bool:
		v.Bool(x)
	case int64:
		v.Int(x, 64)
	case uint64:
		v.Uint(x, 64)
	case *big.Int:
		v.JSON(json.RawMessage(x.String()))
	case float64:
		v.Float(x, 64)
	case string:
		v.String(x)
	case []byte:
		v.Bytes(x)
	case time.Time:
		v.Time(x)
	case []any:
		v.List(len(x))
		for _, element := range x {
			WriteTree(v, element)
		}
		v.End()
	case map[string]any:
		v.Map(len(x))
		for _, key := range slices.Sorted(maps.Keys(x)) {
			v.String(key)
			WriteTree(v, x[key])
		}
		v.End()
	}
}
