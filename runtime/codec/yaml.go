package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func newYAML() Serializer {
	return &treeSerializer{
		name: "yaml", contentType: "application/x-yaml", contentEncoding: "utf-8",
		marshal:   marshalYAML,
		unmarshal: parseYAML,
	}
}

// mostYAML bounds a body, in bytes: the parser takes up to 25 times that.
const mostYAML = 2 << 20

var errYAMLTooLarge = &formatError{fmt.Sprintf("more than %d MiB of YAML; use another serializer", mostYAML>>20)}

func marshalYAML(tree any) ([]byte, error) {
	data, err := appendYAML(nil, tree)
	if err == nil && len(data) > mostYAML {
		return nil, errYAMLTooLarge
	}
	return data, err
}

// appendYAML appends a tree in YAML's flow style with all strings quoted, so
// that YAML 1.1, which Python reads, and 1.2 mean the same by it.
func appendYAML(dst []byte, tree any) ([]byte, error) {
	switch x := tree.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, x), nil
	case int64:
		return strconv.AppendInt(dst, x, 10), nil
	case uint64:
		return strconv.AppendUint(dst, x, 10), nil
	case *big.Int:
		return x.Append(dst, 10), nil
	case float64:
		return appendYAMLFloat(dst, x), nil
	case string:
		return appendYAMLString(dst, x), nil
	case []byte:
		dst = append(dst, `!!binary "`...)
		return append(base64.StdEncoding.AppendEncode(dst, x), '"'), nil
	case time.Time:
		dst, _ = appendTime(dst, x)
		return dst, nil
	case []any:
		return appendYAMLList(dst, x)
	case map[string]any:
		return appendYAMLMap(dst, x)
	}
	return nil, &formatError{fmt.Sprintf("a %T in a tree", tree)}
}

func appendYAMLList(dst []byte, list []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, x := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendYAML(dst, x); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendYAMLMap(dst []byte, m map[string]any) (_ []byte, err error) {
	dst = append(dst, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(appendYAMLString(dst, k), ": "...)
		if dst, err = appendYAML(dst, m[k]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendYAMLFloat: to YAML 1.1 a number without a point is no float.
func appendYAMLFloat(dst []byte, x float64) []byte {
	switch text := string(appendFloat(nil, x, 64)); {
	case text == "NaN":
		return append(dst, ".nan"...)
	case text == "Infinity":
		return append(dst, ".inf"...)
	case text == "-Infinity":
		return append(dst, "-.inf"...)
	case !strings.Contains(text, "."):
		return append(dst, strings.Replace(text, "e", ".0e", 1)...)
	default:
		return append(dst, text...)
	}
}

// appendYAMLString quotes a string; one that isn't UTF-8 travels as binary.
func appendYAMLString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		dst = append(dst, `!!binary "`...)
		return append(base64.StdEncoding.AppendEncode(dst, []byte(s)), '"')
	}
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case unicode.IsPrint(c):
			dst = utf8.AppendRune(dst, c)
		case c <= 0xffff:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, c)
		}
	}
	return append(dst, '"')
}

// yamlReader turns the nodes of a document into a tree.
type yamlReader struct{ room allowance }

func parseYAML(data []byte) (any, error) {
	if len(data) > mostYAML {
		return nil, errYAMLTooLarge
	}
	if !utf8.Valid(data) {
		return nil, &formatError{"not valid UTF-8"}
	}
	// The parser takes some 200 bytes for each node, and a node takes at least
	// one of these.
	const most = 64 << 10
	n := 0
	for _, c := range data {
		switch c {
		case ',', ':', '-', '?', '[', '{', '\n':
			n++
		}
	}
	if n > most {
		return nil, &formatError{"too many values to be read as YAML; use another serializer"}
	}
	var document, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&document); err != nil {
		return nil, err
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, &formatError{errTrailing.Error()}
	}
	r := yamlReader{}
	r.room.reset(len(data))
	return r.tree(&document, 0)
}

func (r *yamlReader) tree(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth+1 { // the document counts too
		return nil, errTooDeep
	}
	if !r.room.spend(treePart) {
		return nil, &formatError{tooMuchRoom}
	}
	switch n.Kind {
	case 0:
		return nil, nil
	case yaml.DocumentNode:
		return r.tree(n.Content[0], depth+1)
	case yaml.AliasNode: // what points to itself becomes too deep, what multiplies too large
		return r.tree(n.Alias, depth+1)
	case yaml.SequenceNode:
		return r.list(n, depth)
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	return scalarTree(n)
}

func (r *yamlReader) list(n *yaml.Node, depth int) (any, error) {
	if n.ShortTag() != "!!seq" {
		return nil, badTag(n)
	}
	list := make([]any, len(n.Content))
	for i, c := range n.Content {
		var err error
		if list[i], err = r.tree(c, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (r *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	if n.ShortTag() != "!!map" {
		return nil, badTag(n)
	}
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := r.tree(n.Content[i], depth+1)
		if err != nil {
			return nil, err
		}
		if k := kindOf(key); k == kindList || k == kindMap {
			return nil, &formatError{"a " + k.String() + " as key of a map"}
		}
		name := keyText(key)
		if _, twice := m[name]; twice {
			return nil, &formatError{"a key of a map is there twice"}
		}
		if m[name], err = r.tree(n.Content[i+1], depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// scalarTree reads a scalar of YAML's own types.
func scalarTree(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!str":
		// The library doesn't know the times that Python writes, with a space
		// and an offset.
		if t, ok := parseTime([]byte(n.Value)); ok && n.Style == 0 {
			return t, nil
		}
		return n.Value, nil
	case "!!binary":
		b, ok := decodeBase64([]byte(strings.Join(strings.Fields(n.Value), "")))
		if !ok {
			return nil, &formatError{"binary data that is not base64"}
		}
		return b, nil
	case "!!float": // the library makes floats of large integers
		if big, ok := jsonNumber([]byte(strings.TrimPrefix(n.Value, "+"))).(*big.Int); ok {
			return big, nil
		}
	case "!!null", "!!bool", "!!int", "!!timestamp":
	default:
		return nil, badTag(n)
	}
	var x any
	if err := n.Decode(&x); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case int:
		return int64(x), nil
	case uint64:
		return smallest(x), nil
	default:
		return x, nil
	}
}

func badTag(*yaml.Node) error {
	return &formatError{"a tag that is not one of YAML's own types"}
}
