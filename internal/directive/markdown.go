package directive

import (
	"fmt"
	"strings"
)

// places are the words for targets.
var places = map[Target]string{
	OnTask: "functions", OnAbstract: "struct types", OnBoth: "functions, struct types",
	OnInterface: "interfaces", OnMethod: "their methods", OnExtern: "interfaces, their methods",
	OnTask | OnExtern: "functions, interfaces, their methods", OnAll: "all",
}

// Markdown is the table for docs/directives.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| directive | on | meaning |\n|---|---|---|\n")
	for _, key := range table {
		spelling := strings.TrimSpace(key.Name + " " + key.Value)
		on := places[key.Target]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(spelling, "|", `\|`), on, strings.ReplaceAll(key.Doc, "|", `\|`))
	}
	return b.String()
}
