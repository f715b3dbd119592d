package emit

import (
	"testing"

	"github.com/taskgen/taskgen/internal/model"
)

func TestX(t *testing.T) {
	str := &model.Type{Kind: model.String, Expr: model.Expr{{Text: "string"}}}
	i64 := &model.Type{Kind: model.Int, Expr: model.Expr{{Text: "int64"}}}
	strs := &model.Type{Kind: model.Slice, Expr: model.Expr{{Text: "[]"}, {Text: "string"}}, Elem: str}
	m := &model.Type{Kind: model.Map, Expr: model.Expr{{Text: "map["}, {Text: "ID", Path: "example.com/x/go-id"}, {Text: "][]"}, {Text: "string"}}, Key: &model.Type{Kind: model.String, Expr: model.Expr{{Text: "ID", Path: "example.com/x/go-id"}}}, Elem: strs}
	p := &model.Package{Path: "example.com/app/users", Name: "users", Taken: map[string]bool{"task": true, "RegisterTasks": true},
		Imports: map[string]string{"example.com/x/go-id": "id"},
		Structs: []string{"HTTPMailer"},
		Tasks: []*model.Task{
			{Name: "a.b", Func: "createUser", Stub: "CreateUser", Doc: []string{"createUser does", "", "\tfoo"}, Context: true, Error: true, Result: i64,
				Params: []*model.Param{{Name: "username", Field: "Username", Type: str}, {Name: "t", Field: "T", Type: str}, {Name: "x", Field: "Visit", Type: strs, Variadic: true}}},
			{Name: "a.c", Func: "run", Stub: "MailerRun", Struct: "HTTPMailer", Error: false, Result: m,
				Params:  []*model.Param{{Name: "m", Field: "M", Type: m}, {Name: "log", Injected: model.Logger}},
				Options: model.Options{RateLimit: "0.5/s", MaxRetries: new(-1), Timeout: 3601e9, Secret: []string{"m"}, Priority: new(3)}},
			{Name: "a.d", Func: "nop", Stub: "Nop"},
		}}
	b, err := File(p)
	t.Logf("%s\n%v", b, err)
}
