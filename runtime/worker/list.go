package worker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

// taskInfo is a registered task as it is listed.
type taskInfo struct {
	Name      string `json:"name"`
	Signature string `json:"signature"`
	// Queue has a {param} where it differs from call to call, and is empty for a built-in
	// task, which goes wherever it is sent to.
	Queue   string   `json:"queue"`
	Route   *route   `json:"route,omitempty"`
	Options []string `json:"options"`
	BuiltIn bool     `json:"built_in"`
}

// route is the way of a task's messages over an exchange.
type route struct {
	Exchange     string `json:"exchange"`
	ExchangeType string `json:"exchange_type"`
	RoutingKey   string `json:"routing_key"`
}

// describe lists the tasks of the user and the built-in ones, each sorted by name.
func (c *catalog) describe() []taskInfo {
	infos := []taskInfo{}
	for _, e := range c.own {
		infos = append(infos, describe(e))
	}
	for _, e := range c.builtIn {
		info := describe(e)
		info.Queue, info.BuiltIn = "", true
		infos = append(infos, info)
	}
	return infos
}

func describe(e *task.Entry) taskInfo {
	spec := e.Spec()
	info := taskInfo{Name: e.Name(), Signature: e.Signature(), Queue: e.Queue(), Options: append([]string{}, spec.Options()...)}
	if spec.Exchange == "" {
		return info
	}
	if spec.ExchangeType == "" {
		spec.ExchangeType = task.Direct
		i := slices.Index(info.Options, "exchange="+spec.Exchange)
		info.Options = slices.Insert(info.Options, i+1, "exchange_type="+task.Direct)
	}
	info.Route = &route{Exchange: spec.Exchange, ExchangeType: spec.ExchangeType, RoutingKey: cmp.Or(spec.RoutingKey, e.Queue())}
	return info
}

func (p *program) listCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the tasks: names, signatures, queues, options", Args: atMost(0),
		RunE: func(*cobra.Command, []string) error {
			infos := newCatalog(p.registry).describe()
			if asJSON {
				return p.writeJSON(infos)
			}
			_, err := fmt.Fprint(p.stdout, listing(infos))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listing gives each task a line with its signature, and one with its queue and options; the built-in
// ones come last, apart.
func listing(infos []taskInfo) string {
	var own, builtIn strings.Builder
	for _, t := range infos {
		if t.BuiltIn {
			t.write(&builtIn, t.Options)
		} else {
			t.write(&own, append([]string{"queue=" + t.Queue}, t.Options...))
		}
	}
	return cmp.Or(own.String(), "no tasks\n") +
		"\nbuilt in, for any queue (call -queue); taskgen.http asks only hosts of -http-allow:\n\n" + builtIn.String()
}

func (t *taskInfo) write(out *strings.Builder, options []string) {
	out.WriteString(t.Name + t.Signature + "\n")
	if len(options) > 0 {
		out.WriteString("    " + strings.Join(options, " ") + "\n")
	}
}
