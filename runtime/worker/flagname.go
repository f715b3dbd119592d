package worker

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagNames knows the flags of a tree of commands, and which of them take a value.
type flagNames struct {
	long  map[string]bool
	short map[byte]bool
}

func newFlagNames(root *cobra.Command) flagNames {
	names := flagNames{long: map[string]bool{"help": false}, short: map[byte]bool{'h': false}}
	add := func(f *pflag.Flag) {
		takesValue := f.NoOptDefVal == ""
		names.long[f.Name] = takesValue
		if f.Shorthand != "" {
			names.short[f.Shorthand[0]] = takesValue
		}
	}
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
	}
	return names
}

// normalize gives long flags that have one dash, as the go command's have, the second
// that pflag wants. The values of flags stay as they are.
func (n flagNames) normalize(args []string) []string {
	out := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		arg, valueFollows := n.flag(args[i])
		out = append(out, arg)
		if valueFollows && i+1 < len(args) {
			i++
			out = append(out, args[i])
		}
	}
	return out
}

// flag normalizes one argument, and says whether the next one is its value.
func (n flagNames) flag(arg string) (string, bool) {
	if len(arg) < 2 || arg[0] != '-' {
		return arg, false
	}
	name, _, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	if arg[1] == '-' {
		return arg, n.long[name] && !hasValue
	}
	takesValue, isLong := n.long[name]
	_, isShort := n.short[name0(name)]
	// A flag that nobody knows gets a second dash too: pflag would complain of its first letter.
	if isLong || !isShort && len(name) > 1 {
		return "-" + arg, takesValue && !hasValue
	}
	for i := 1; i < len(arg); i++ {
		if takesValue, known := n.short[arg[i]]; takesValue || !known {
			return arg, takesValue && i == len(arg)-1
		}
	}
	return arg, false
}

// name0 is the first byte of a name.
func name0(name string) byte {
	if name == "" {
		return 0
	}
	return name[0]
}
