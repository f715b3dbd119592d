package emit

import (
	"strings"

	"github.com/taskgen/taskgen/internal/model"
)

// spelledSignature spells what a caller passes and gets, for people: (username string, tags ...string) int64.
func (f *file) spelledSignature(t *model.Task) string {
	var params []string
	for _, p := range t.Params {
		switch {
		case p.Injected != model.Argument:
		case p.Variadic:
			params = append(params, p.Name+" ..."+f.spelling(p.Type.Elem.Expr))
		default:
			params = append(params, p.Name+" "+f.spelling(p.Type.Expr))
		}
	}
	text := "(" + strings.Join(params, ", ") + ")"
	if t.Result != nil {
		text += " " + f.spelling(t.Result.Expr)
	}
	return text
}

// spelling is a type as the user's source has it, but for renamed imports.
func (f *file) spelling(expr model.Expr) string {
	var text strings.Builder
	for _, part := range expr {
		if part.Path != "" {
			text.WriteString(f.pkg.Imports[part.Path] + ".")
		}
		text.WriteString(part.Text)
	}
	return text.String()
}
