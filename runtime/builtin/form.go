package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// form turns a JSON object into the values of a form. Errors don't show values: they may be secret.
func form(params json.RawMessage) (url.Values, error) {
	values := url.Values{}
	if len(bytes.TrimSpace(params)) == 0 {
		return values, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(params))
	decoder.UseNumber() // a float64 would round large ones
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return nil, errors.New(`params: want a JSON object, such as {"id": 1}`)
	}
	for name, value := range fields {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			if v == nil {
				continue
			}
			text, ok := formText(v)
			if !ok {
				return nil, fmt.Errorf("params: %q: a form has texts, numbers, booleans and lists of these, nothing deeper", name)
			}
			values.Add(name, text)
		}
	}
	return values, nil
}

// formText is a single value as a form has it.
func formText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}
