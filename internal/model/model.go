// Package model is what the generator knows about a package of tasks: plain
// data, made by internal/check and read by internal/emit, which sees nothing else.
package model

import (
	"go/token"
	"slices"
	"time"
)

// Package is one Go package that declares tasks.
type Package struct {
	// Path is the import path, Name the package clause, Dir the directory.
	Path, Name, Dir string
	// Tasks in the order of their declaration: by file name, then position.
	Tasks []*Task
	// Structs are the types whose methods are tasks, sorted by name.
	Structs []Struct
	// Taken holds every identifier that the package block can't take besides
	// those of the generated file: what the package's other files declare
	// at package level (tests and files for other systems included), and those
	// of their import names that begin with an upper case letter. Other import
	// names are not among them; nor is what they dot-import, which is left to
	// the compiler.
	Taken map[string]bool
	// Records are the structs that travel within a Type.JSON, by the name that it has for them.
	Records map[string]*Record
	// Imports maps the import path of every package that a type mentions to
	// that package's name.
	Imports map[string]string
}

// Runs says whether some of the tasks are for a worker of ours to run.
func (p *Package) Runs() bool {
	return slices.ContainsFunc(p.Tasks, func(t *Task) bool { return t.Extern == "" })
}

// Struct is a type whose methods are tasks.
type Struct struct {
	Name string
	// Hooks says that it has methods which are called after its tasks, or may have them as far as one can see.
	Hooks bool
}

// Task is one annotated function or method.
type Task struct {
	// Name is the registered name.
	Name string
	// Func is the user's function or method, Stub the exported name that
	// users call: createUser and CreateUser, (*Mailer).digest and MailerDigest.
	Func, Stub string
	// Struct is the receiver's type name, "" for a function.
	Struct string
	// Extern is the interface that declares the task, for one that others run. It has no function to call.
	Extern string
	// Doc is the doc comment without directives, as text lines without "//".
	Doc []string
	// Context says that the first parameter is a context.Context.
	Context bool
	// Params are the parameters after the context, the injected ones among them.
	Params []*Param
	// Result is nil if the function returns none besides an error.
	Result *Type
	// Error says that the last result is an error.
	Error   bool
	Options Options
	Pos     token.Position
}

// Injected is what the worker passes for a parameter that is not in the message.
type Injected int

// The kinds of parameters.
const (
	Argument Injected = iota // part of the message
	Info                     // task.Info
	Logger                   // *slog.Logger
)

// Param is one parameter.
type Param struct {
	// Name is the name in the source, Wire that in messages, Field that of the argument struct's field.
	Name, Wire, Field string
	Injected          Injected
	Type              *Type
	// Variadic: Type is the slice type, and the function takes ...Type.Elem.
	Variadic bool
}

// Kind says how a value travels. See runtime/codec: one function for each.
type Kind int

// The kinds.
const (
	Bool Kind = iota
	Int
	Uint
	Float
	String
	Bytes
	Time
	Duration
	JSON
	Any     // by reflection
	Slice   // of Elem
	Map     // of Key and Elem
	Pointer // to Elem
	Object  // a Record: in Type.JSON only
)

// Type is a Go type as source and as kind. The Elem and Key of a Slice, Map or
// Pointer can be spelled in the package too; where they can't, the kind is Any.
type Type struct {
	Kind Kind
	// Expr spells the type.
	Expr Expr
	Key  *Type
	Elem *Type
	// JSON is what an Any is as JSON, for callers in other languages: a type without Expr, in which an Any is any
	// value, a Duration its nanoseconds, and a Pointer whatever may be null.
	JSON *Type `json:",omitempty"`
	// Record is the key of an Object in Package.Records.
	Record string `json:",omitempty"`
}

// Record is a struct that travels, as encoding/json sees it.
type Record struct {
	// Package is the name of its package, Name its own, type arguments included.
	Package, Name string
	Fields        []RecordField
}

// RecordField is a field of a Record.
type RecordField struct {
	Name string // in JSON
	Type *Type
	// Optional fields are left out when they are empty.
	Optional bool
}

// Expr is a type expression, cut at the package qualifiers: the source of it is
// the concatenation of the parts.
type Expr []Part

// Part is literal source text, or an identifier of another package.
type Part struct {
	Text string // literal source such as "[]" or "map[", or the identifier
	Path string // import path of the identifier's package, "" for literal text and the own package
}

// Options are the directives of one task, inherited ones included. The zero
// value of each is the default.
type Options struct {
	Serializer, Compression              string
	MaxRetries                           *int // -1: none, for ever
	DefaultRetryDelay                    *time.Duration
	RetryBackoff, RetryJitter, AutoRetry bool
	// RateLimit is as the user spelt it, such as "100/m", or Unlimited.
	RateLimit                  string
	Timeout, Expires           time.Duration
	IgnoreResult, TrackStarted bool
	DisableErrorEmails         bool
	// RoutingKey has the names that parameters have in messages.
	Queue, Exchange, RoutingKey string
	// ExchangeType is direct, topic, fanout or headers.
	ExchangeType string
	NotMandatory bool
	Immediate    bool
	Priority     *int // 0 highest … 9
	AckEarly     bool
	Secret       []string // parameter names, as in messages
	// Args is snake, go or positional, and Params what some parameters are called in messages, by their names in
	// the source: for extern tasks.
	Args   string
	Params map[string]string
}

// Unlimited is the rate limit of a task that has none even if others have one by default.
const Unlimited = "none"
