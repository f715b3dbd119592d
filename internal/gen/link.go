package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	modules "golang.org/x/mod/module"
)

// stores are the stores of results that have short names.
var stores = map[string]string{"redis": "github.com/taskgen/taskgen/runtime/redis"}

// links are the import paths of what a worker command is to link, sorted.
func links(names []string) ([]string, error) {
	var paths []string
	for _, name := range names {
		path, short := stores[name]
		if !short {
			path = name
		}
		if !strings.Contains(path, "/") || modules.CheckImportPath(path) != nil {
			return nil, fmt.Errorf("-link %s: want %s, or the import path of a package that registers a store of results", name,
				strings.Join(slices.Sorted(maps.Keys(stores)), ", "))
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
