package directive

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/golden"
	"github.com/taskgen/taskgen/internal/model"
)

// TestTable checks that the table explains itself, and that its examples are true.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, key := range Keys() {
		if seen[key.Name] {
			t.Errorf("%s is there twice", key.Name)
		}
		seen[key.Name] = true
		if key.Doc == "" || !strings.HasSuffix(key.Doc, ".") {
			t.Errorf("%s: the doc is no sentence: %q", key.Name, key.Doc)
		}
		if (key.Value == "") != (key.Example == "") {
			t.Errorf("%s: a key with a value needs an example, one without none", key.Name)
		}
		d, err := Parse(1, example(&key))
		if err != nil || d == nil || d.String() != example(&key) {
			t.Errorf("%s: the example is read as %v, %v", key.Name, d, err)
		}
	}
}

// TestWords checks that the words are none of the keys, and that what they stand for exists.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, w := range Words() {
		if lookup(w.Name) != nil || lookupWord(w.Name).Name != w.Name {
			t.Errorf("%s is there twice", w.Name)
		}
		if w.Key == "" && w.Instead == "" {
			t.Errorf("%s leads nowhere", w.Name)
		}
		if key := lookup(w.Key); w.Key != "" && (key == nil || w.Value != "" && !key.fits(w.Value)) {
			t.Errorf("%s stands for %s %s, which there is not", w.Name, w.Key, w.Value)
		}
	}
}

// TestManual checks that the tables in docs/directives.md are those that the
// program goes by.
func TestManual(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(golden.Root(), "docs", "directives.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{Markdown(), WordsMarkdown()} {
		if !strings.Contains(string(data), table) {
			t.Errorf("docs/directives.md lacks this table:\n%s", table)
		}
	}
}

// TestInvisible checks that the parser's words about hostile text are for people.
func TestInvisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"//task:queue a\u202eb":                              "invisible character U+202E",
		"//task:queue a\x00b":                                "invisible character U+0000",
		"//task:define\r":                                    "invisible character U+000D",
		"//task:define\n//task:queue x":                      "invisible character U+000A",
		"//task:queue \xff":                                  "not UTF-8",
		"//task:queue " + strings.Repeat("x", 1<<20):         "a line of 1048582 bytes",
		"//task:queue `x`":                                   "a name has at most",
		`//task:name a"; panic()`:                            "one value",
		`//task:name a*/b`:                                   "a name has at most",
		"//task:secret a\u00a0b":                             "invisible character U+00A0",
		"//task:name " + strings.Repeat("n", 256):            "at most 255",
		"//task:name \"quoted\"":                             "a name has at most",
		"//task:routing_key {}":                              "between the braces",
		"//task:" + strings.Repeat("x", 1000):                "unknown key",
		"//task:queue " + strings.Repeat("y", longestLine-6): "a name has at most|bytes",
	} {
		d, err := Parse(1, text)
		if err == nil {
			t.Errorf("%.40q is accepted: %v", text, d)
			continue
		}
		ok := false
		for w := range strings.SplitSeq(want, "|") {
			ok = ok || strings.Contains(err.Error(), w)
		}
		if !ok {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
		if len(err.Error()) > 600 {
			t.Errorf("%.40q: a message of %d bytes", text, len(err.Error()))
		}
	}
}

// FuzzDirective checks that what is read survives being written and read again,
// that an error has its place inside of the text, and that an accepted value
// holds nothing but harmless characters.
func FuzzDirective(f *testing.F) {
	for _, key := range Keys() {
		f.Add(example(&key))
		f.Add(strings.ReplaceAll(example(&key), " ", "="))
		f.Add(strings.Replace(example(&key), "//task:", "// task: ", 1))
	}
	for _, text := range []string{
		`//task:name "a\"; panic()"`, `//task:name "open`, "//task:queue \u202e", "//task:queue \x00", "//task:define\r\n",
		"//task:queue " + strings.Repeat("x", 1<<16), "//task:queue */", "//task:queue `x`", "//task:rate_limit -1/0s",
		"//task:max_retries 99999999999999999999", "//go:embed x", "//task:", "//task: x", "//Task:queue x", "/*task:queue x*/",
		"//task:secret  a\t b ", "//task:default_retry_delay 1e400", "//task:default_retry_delay NaN", "//task:timeout 1e300h",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const pos = token.Pos(1000)
		d, err := Parse(pos, text)
		if err != nil {
			syntax := &SyntaxError{}
			ok := errors.As(err, &syntax)
			if !ok || syntax.Pos < pos || syntax.Pos > pos+token.Pos(len(text)) {
				t.Fatalf("%q: error %#v", text, err)
			}
			if d != nil {
				t.Fatalf("%q: both %v and %v", text, d, err)
			}
			return
		}
		if d == nil {
			if strings.HasPrefix(text, Prefix) {
				t.Fatalf("%q: silence", text)
			}
			return
		}
		again, err := Parse(pos, d.String())
		if err != nil || again == nil || *again != *d {
			t.Fatalf("%q: read %v, then %v, %v", text, d, again, err)
		}
		if strings.ContainsAny(d.Value, "\"'`\\\n\r\x00;()*<>") {
			t.Fatalf("%q: value %q", text, d.Value)
		}
		var o model.Options
		d.Apply(&o)
	})
}

// FuzzExtract checks that any comment in any place is read without a panic, and
// that what is found has a place in the file.
func FuzzExtract(f *testing.F) {
	f.Add("package p\n\n//task:define\nfunc f() {}\n")
	f.Add("package p\n//task:queue x\n\nfunc f() {\n//task:define\n}\n//task:abstract\ntype T struct{}")
	f.Add("//task:define\npackage p\nvar x = func() {\n//task:define\n}\n//line x.go:1\n//task:x")
	f.Fuzz(func(t *testing.T, src string) {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "p.go", src, parser.ParseComments|parser.SkipObjectResolution)
		if file == nil || err != nil {
			return
		}
		var diags diag.List
		funcs, types := Extract(fset, file, &diags)
		for _, d := range diags {
			if d.Pos.Filename != "p.go" || d.Pos.Line < 1 || d.Pos.Offset > len(src) {
				t.Fatalf("position %v of %q", d.Pos, d.Message)
			}
		}
		_, _ = funcs, types
	})
}
