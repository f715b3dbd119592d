package gen

import (
	"go/token"

	"github.com/taskgen/taskgen/internal/emit"
	"github.com/taskgen/taskgen/internal/model"
)

// registration is what a worker has to know of a package: how to register its tasks.
type registration struct {
	path, name string
	pos        token.Position // of the first task
	// register is the function to call, structs are what it takes.
	register string
	structs  []registeredStruct
	tasks    []registeredTask
}

// registeredStruct is a type whose methods are tasks, registeredTask a task's registered name.
type (
	registeredStruct struct {
		name string
		pos  token.Position
	}
	registeredTask struct {
		name string
		pos  token.Position
	}
)

// newRegistration is that of a package which has been read.
func newRegistration(p *model.Package) (*registration, error) {
	register, err := emit.Register(p)
	if err != nil {
		return nil, err
	}
	r := &registration{path: p.Path, name: p.Name, register: register}
	first := map[string]token.Position{}
	for _, t := range p.Tasks {
		if t.Extern != "" {
			continue
		}
		if len(r.tasks) == 0 {
			r.pos = t.Pos
		}
		r.tasks = append(r.tasks, registeredTask{t.Name, t.Pos})
		if _, ok := first[t.Struct]; !ok {
			first[t.Struct] = t.Pos
		}
	}
	for _, s := range p.Structs {
		r.structs = append(r.structs, registeredStruct{s.Name, first[s.Name]})
	}
	return r, nil
}
