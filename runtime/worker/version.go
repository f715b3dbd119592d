package worker

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/internal/build"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show what this worker was built from", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			lines := newTable("")
			lines.add(p.name, mainVersion())
			lines.add("taskgen", build.Version())
			lines.add("go", runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
			_, err := fmt.Fprint(p.stdout, lines)
			return err
		},
	}
}

// mainVersion is that of the module of the program, with the commit it was built from.
func mainVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := info.Main.Path + " " + info.Main.Version
	if revision := settings["vcs.revision"]; revision != "" {
		text += ", commit " + revision
		if settings["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	return text
}
