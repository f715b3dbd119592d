// Package build says what a program was built from.
package build

import "runtime/debug"

const module = "github.com/taskgen/taskgen"

// Version is that of the runtime, "unknown" if the program doesn't know.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == module {
		return info.Main.Version
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
