package codec_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/taskgen/taskgen/runtime/codec"
)

// person has one argument of each kind that can be mistaken for another.
type person struct {
	Name string
	Age  int8
	Tags []string
	Born time.Time
	Data []byte
	Rate float32
	Home map[string]int
	Ok   bool
	N    uint16
	Wait time.Duration
	Addr point
	Next *int
}

func (p *person) Visit(f codec.Fields) {
	codec.String(f.Field("name"), &p.Name)
	codec.Int(f.Field("age"), &p.Age)
}

// encode writes a body, or any other value, as the given serializer does it,
// from what JSON can say.
func encode(t *testing.T, name, text string) []byte {
	t.Helper()
	if name == "json" || name == "yaml" { // YAML is a superset
		return []byte(text)
	}
	json, _ := codec.ByName("json")
	tree, err := json.DecodeTree([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := msgpack.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// builtin runs a test for each built-in serializer.
func builtin(t *testing.T, test func(*testing.T, codec.Serializer)) {
	for _, name := range []string{"msgpack", "json", "yaml", "gob"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := codec.ByName(name)
			test(t, s)
		})
	}
}

func TestArgumentsByPositionAndName(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for _, body := range []string{
			`[[], {"name": "ada", "age": 36}, {}]`,
			`[[], {"age": 36, "name": "ada"}, {}]`,
			`[["ada", 36], {}, {}]`,
			`[["ada"], {"age": 36}, {}]`,
			`[["ada", 36.0], {}, null]`,
			`{"task": "t", "id": "i", "args": ["ada"], "kwargs": {"age": 36}, "retries": 0}`,
		} {
			var p person
			if _, err := s.DecodeCall(encode(t, s.Name(), body), p.Visit); err != nil || p.Name != "ada" || p.Age != 36 {
				t.Errorf("%s: got %q %d, %v", body, p.Name, p.Age, err)
			}
		}
	})
}

func TestArgumentErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, argument, problem string }{
		{`[[], {"name": "s3cret"}, {}]`, "age", "missing"},
		{`[["s3cret"], {}, {}]`, "age", "missing"},
		{`[[], {}, {}]`, "name", "missing"},
		{`[[], {"name": "s3cret", "age": 1, "agee": 2}, {}]`, "agee", "unknown"},
		{`[["s3cret", 1, 2], {}, {}]`, "", "takes 2 arguments, got 3 by position"},
		{`[["s3cret", 1], {"name": "x"}, {}]`, "name", "given twice, by position and by name"},
		{`[["s3cret", 1], {"x": "x"}, {}]`, "x", "unknown"},
		{`[["s3cret", "s3cret"], {}, {}]`, "age", "want int8, got string"},
		{`[["s3cret", 128], {}, {}]`, "age", "want int8, got a number that does not fit"},
		{`[["s3cret", 18446744073709551615], {}, {}]`, "age", "want int8, got a number that does not fit"},
		{`[["s3cret", 1.5], {}, {}]`, "age", "want int8, got float"},
		{`[["s3cret", null], {}, {}]`, "age", "want int8, got null"},
		{`[["s3cret", true], {}, {}]`, "age", "want int8, got bool"},
		{`[["s3cret", [1]], {}, {}]`, "age", "want int8, got list"},
		{`[["s3cret", {"a": 1}], {}, {}]`, "age", "want int8, got map"},
		{`[[1234567, 1], {}, {}]`, "name", "want string, got int"},
		{`[[null, 1], {}, {}]`, "name", "want string, got null"},
		{`[[["s3cret"], 1], {}, {}]`, "name", "want string, got list"},
	}
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for _, test := range tests {
			var p person
			_, err := s.DecodeCall(encode(t, s.Name(), test.body), p.Visit)
			checkArgumentError(t, test.body, err, test.argument, test.problem)
		}
	})
}

func checkArgumentError(t *testing.T, body string, err error, argument, problem string) {
	t.Helper()
	wrong, ok := errors.AsType[*codec.ArgumentError](err)
	switch {
	case !ok:
		t.Errorf("%s: got %v", body, err)
	case wrong.Argument != argument || wrong.Problem != problem:
		t.Errorf("%s: got %q %q, want %q %q", body, wrong.Argument, wrong.Problem, argument, problem)
	case strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "1234567"):
		t.Errorf("%s: the error has the value: %v", body, err)
	}
}

// A duplicate key is an error where the format can have one.
func TestArgumentsTwice(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"json":    `[[], {"name": "a", "age": 1, "name": "b"}, {}]`,
		"msgpack": "\x93\x90\x83\xa4name\xa1a\xa3age\x01\xa4name\xa1b\x80",
		"gob":     "\x93\x90\x83\xa4name\xa1a\xa3age\x01\xa4name\xa1b\x80",
	}
	for name, body := range bodies {
		s, _ := codec.ByName(name)
		var p person
		_, err := s.DecodeCall([]byte(body), p.Visit)
		checkArgumentError(t, body, err, "name", "given twice")
	}
	s, _ := codec.ByName("yaml")
	if _, err := s.DecodeCall([]byte(bodies["json"]), new(person).Visit); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error("yaml: got", err)
	}
}

// Each kind of argument refuses what it isn't, without quoting it.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	var p person
	kinds := map[string]func(codec.Value){
		"string":  func(v codec.Value) { codec.String(v, &p.Name) },
		"int8":    func(v codec.Value) { codec.Int(v, &p.Age) },
		"uint16":  func(v codec.Value) { codec.Uint(v, &p.N) },
		"list":    func(v codec.Value) { codec.Slice(v, &p.Tags, codec.String[string]) },
		"time":    func(v codec.Value) { codec.Time(v, &p.Born) },
		"bytes":   func(v codec.Value) { codec.Bytes(v, &p.Data) },
		"float32": func(v codec.Value) { codec.Float(v, &p.Rate) },
		"map":     func(v codec.Value) { codec.Map(v, &p.Home, codec.String[string], codec.Int[int]) },
		"bool":    func(v codec.Value) { codec.Bool(v, &p.Ok) },
		"seconds": func(v codec.Value) { codec.Duration(v, &p.Wait) },
		"point":   func(v codec.Value) { codec.Any(v, &p.Addr) },
		"pointer": func(v codec.Value) { codec.Pointer(v, &p.Next, codec.Int[int]) },
	}
	values := map[string]string{
		"string": `"s3cret"`, "int8": `-117`, "big": `1234567`, "float": `117.25`, "huge": `1e300`, "bool": `true`,
		"list": `["s3cret"]`, "map": `{"s3cret": "s3cret"}`, "deep": `{"zip": "s3cret"}`, "null": `null`,
	}
	fits := map[string]string{
		"string": "string", "int8": "int8", "uint16": "", "list": "list null", "time": "", "bytes": "string null",
		"float32": "int8 big float", "map": "null", "bool": "bool", "seconds": "int8 big float", "point": "map", "pointer": "int8 big null",
	}
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for want, visit := range kinds {
			for got, value := range values {
				if s.Name() == "gob" && want == "point" {
					continue // other bytes, see TestGobOfAnotherType
				}
				_, err := s.DecodeCall(encode(t, s.Name(), `[[`+value+`], {}, {}]`), func(f codec.Fields) { visit(f.Field("x")) })
				ok := strings.Contains(" "+fits[want]+" ", " "+got+" ")
				if want == "bytes" && got == "string" && (s.Name() == "json" || s.Name() == "yaml") {
					ok = false // it isn't base64
				}
				if ok != (err == nil) {
					t.Errorf("%s as %s: %v", value, want, err)
				}
				if err == nil {
					continue
				}
				if _, typed := errors.AsType[*codec.ArgumentError](err); !typed {
					t.Errorf("%s as %s: %T", value, want, err)
				}
				for _, secret := range []string{"s3cret", "117", "1234567", "1e+300", "1e300"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%s as %s: the error has the value: %v", value, want, err)
					}
				}
			}
		}
	})
}

func TestGobOfAnotherType(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("gob")
	in := struct{ Zip string }{"s3cret"}
	body, err := s.EncodeCall(func(f codec.Fields) { codec.Any(f.Field("x"), &in) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p point
	_, err = s.DecodeCall(body, visitFunc(&p, codec.Any[point]))
	if err == nil || !strings.Contains(err.Error(), "Zip") || strings.Contains(err.Error(), "s3cret") {
		t.Error("got", err)
	}
}

// What isn't a call at all.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for body, problem := range map[string]string{
			`[]`:                           "got one of 0",
			`[[], {}]`:                     "got one of 2",
			`[[], {}, {}, {}]`:             "got one of 4",
			`null`:                         "got null",
			`1`:                            "got int",
			`"x"`:                          "got string",
			`{}`:                           "a map with args and kwargs",
			`{"args": []}`:                 "a map with args and kwargs",
			`[null, {}, {}]`:               "want a list of arguments, got null",
			`[{}, {}, {}]`:                 "want a list of arguments, got map",
			`[[], null, {}]`:               "want a map of arguments, got null",
			`[[], [], {}]`:                 "want a map of arguments, got list",
			`{"args": null, "kwargs": {}}`: "want a list of arguments, got null",
			`{"args": [], "kwargs": 3}`:    "want a map of arguments, got int",
		} {
			_, err := s.DecodeCall(encode(t, s.Name(), body), func(codec.Fields) {})
			if err == nil || !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: got %v, want %q", body, err, problem)
			}
		}
		whole := encode(t, s.Name(), `[["a"], {"b": "cc"}, {"d": [1, 2.5, null, true]}]`)
		visit := func(f codec.Fields) {
			var a, b string
			codec.String(f.Field("a"), &a)
			codec.String(f.Field("b"), &b)
		}
		for n := range whole {
			if _, err := s.DecodeCall(whole[:n], visit); err == nil {
				t.Errorf("no error for the first %d bytes of %q", n, whole)
			}
		}
		if _, err := s.DecodeCall(append(slices.Clip(whole), "]"...), visit); err == nil {
			t.Errorf("no error for %q with a byte after its end", whole)
		}
		if _, err := s.DecodeCall(nil, visit); err == nil {
			t.Error("no error for an empty body")
		}
	})
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		body := encode(t, s.Name(), `[[], {}, {"callbacks": [{"task": "t", "args": [1, 2.5, "x", null]}], "chain": null}]`)
		embed, err := s.DecodeCall(body, func(codec.Fields) {})
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.EncodeCall(func(codec.Fields) {}, embed)
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.DecodeTree(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.DecodeTree(again)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// More fields than fit into the shortest map heads of msgpack.
func TestManyFields(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		for _, n := range []int{0, 1, 15, 16, 17, 70_000} {
			values := make([]int, n)
			visit := func(f codec.Fields) {
				for i := range values {
					codec.Int(f.Field("f"+time.Duration(i).String()), &values[i])
				}
			}
			for i := range values {
				values[i] = i
			}
			if n > 1000 && s.Name() != "msgpack" {
				continue
			}
			body, err := s.EncodeCall(visit, nil)
			if err != nil {
				t.Fatal(err)
			}
			clear(values)
			if _, err := s.DecodeCall(body, visit); err != nil {
				t.Fatal(err)
			}
			for i := range values {
				if values[i] != i {
					t.Fatalf("field %d of %d is %d", i, n, values[i])
				}
			}
		}
	})
}

func TestDecodeMapLeavesWhatIsMissing(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		n := 5
		a, tags, home, next := "before", []string{"x", "y"}, map[string]int{"k": 1}, &n
		visit := func(f codec.Fields) {
			codec.Slice(f.Field("tags"), &tags, codec.String[string])
			codec.String(f.Field("a"), &a)
			codec.Map(f.Field("home"), &home, codec.String[string], codec.Int[int])
			codec.Pointer(f.Field("next"), &next, codec.Int[int])
			codec.Any(f.Field("any"), &home)
		}
		if err := s.DecodeMap(encode(t, s.Name(), `{"z": [1], "y": null}`), visit); err != nil {
			t.Fatal(err)
		}
		if a != "before" || len(tags) != 2 || tags[1] != "y" || home["k"] != 1 || next != &n || n != 5 {
			t.Error("changed:", a, tags, home, next, n)
		}
		if err := s.DecodeMap(encode(t, s.Name(), `{"z": 1, "a": "after"}`), visit); err != nil || a != "after" {
			t.Error("got", a, err)
		}
		err := s.DecodeMap(encode(t, s.Name(), `{"a": 1234567}`), visit)
		if err == nil || err.Error() != `field "a": want string, got int` {
			t.Error("got", err)
		}
		if err := s.DecodeMap(encode(t, s.Name(), `[1]`), visit); err == nil {
			t.Error("no error for a list")
		}
	})
}
