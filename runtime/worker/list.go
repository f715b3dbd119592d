package worker

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

// taskInfo is a registered task as it is listed.
type taskInfo struct {
	Name      string   `json:"name"`
	Signature string   `json:"signature"`
	Queue     string   `json:"queue"`
	Options   []string `json:"options"`
}

// describe lists the tasks of a registry, sorted by name.
func describe(r *task.Registry) []taskInfo {
	infos := []taskInfo{}
	for _, e := range r.Entries() {
		spec := e.Spec()
		infos = append(infos, taskInfo{
			Name: e.Name(), Signature: e.Signature(), Queue: e.Queue(),
			Options: append([]string{}, spec.Options()...),
		})
	}
	return infos
}

func (p *program) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the tasks: names, signatures, queues, options", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			infos := describe(p.registry)
			if asJSON {
				encoder := json.NewEncoder(p.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(infos)
			}
			_, err := fmt.Fprint(p.stdout, listing(infos))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listing gives each task a line with its signature, and one with its queue and options.
func listing(infos []taskInfo) string {
	if len(infos) == 0 {
		return "no tasks\n"
	}
	var out strings.Builder
	for _, t := range infos {
		options := append([]string{"queue=" + t.Queue}, t.Options...)
		out.WriteString(t.Name + t.Signature + "\n    " + strings.Join(options, " ") + "\n")
	}
	return out.String()
}
