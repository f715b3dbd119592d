package names

import (
	"strings"
	"unicode"
)

// Snake spells a name as Python does: customerID is customer_id, HTTPServer http_server, type_ type.
func Snake(name string) string {
	runes := []rune(strings.Trim(name, "_"))
	var out []rune
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && runes[i-1] != '_' {
			wordEnds := !unicode.IsUpper(runes[i-1])
			wordBegins := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			plural := i+1 < len(runes) && runes[i+1] == 's' && (i+2 == len(runes) || unicode.IsUpper(runes[i+2])) // customerIDs
			if wordEnds || wordBegins && !plural {
				out = append(out, '_')
			}
		}
		out = append(out, unicode.ToLower(r))
	}
	return string(out)
}
