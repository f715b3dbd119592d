package directive

import (
	"fmt"
	"strings"
)

// Markdown is the table for docs/directives.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| directive | on | meaning |\n|---|---|---|\n")
	for _, key := range table {
		spelling := strings.TrimSpace(key.Name + " " + key.Value)
		on := map[Target]string{OnTask: "functions", OnAbstract: "struct types", OnBoth: "both"}[key.Target]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(spelling, "|", `\|`), on, strings.ReplaceAll(key.Doc, "|", `\|`))
	}
	return b.String()
}
