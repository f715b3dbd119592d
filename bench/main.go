// Command bench compares taskgen with the library that it is made with, and with other task queues, and prints two tables: the
// ratios that taskgen aims at, and all figures.
//
//	go run . [flags]
//
// All systems send and run the same task, which has two strings for arguments and does nothing. Senders and workers are processes
// of their own. In each round every system of a row runs once, and the next round begins with another one, so what the
// machine does besides hits all alike; ratios are taken within a round, and the median of them counts. A run during which others
// used more than 6 % of the machine is marked with †.
//
// It starts the servers that it needs with the scripts of the repository, and leaves them running: make clean stops them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var b bench
	var rows, systems string
	var write, long bool
	cmd := &cobra.Command{
		Use: "bench", Short: "Compare taskgen with other task queues", Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if write && (rows != "" || systems != "") {
				return fmt.Errorf("-write replaces the whole table in %s: leave out -run and -system", page)
			}
			if err := b.choose(rows, systems, long); err != nil {
				return err
			}
			if err := b.measure(cmd.Context()); err != nil {
				return err
			}
			text := b.text(cmd.Context())
			fmt.Print(text)
			if write {
				return publish(page, text)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&rows, "run", "", "only the rows whose names match `REGEXP`")
	flags.StringVar(&systems, "system", "", "only the systems whose names match `REGEXP`")
	flags.IntVarP(&b.tasks, "tasks", "n", 20_000, "send or run `N` tasks, where the row says nothing else and the system is not too slow for them")
	flags.IntVar(&b.rounds, "rounds", 5, "measure `N` rounds")
	flags.BoolVar(&long, "long", false, "also what takes long, in the first round: a million tasks queued")
	flags.StringVar(&b.profiles, "profile", "", "write CPU profiles of the processes in Go into the folder `DIR`: of the last round, one of a sender\nand one of a worker for each row and system")
	flags.BoolVar(&write, "write", false, "put the tables into docs/performance.md")
	cmd.AddCommand(&cobra.Command{
		Use: "process JOB", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runProcess(cmd.Context(), args[0]) },
	})
	cmd.SetArgs(singleDashes(os.Args[1:]))
	return cmd
}

// singleDashes lets flags be written as the go command's are.
func singleDashes(args []string) []string {
	long := regexp.MustCompile(`^-[a-z]{2,}`)
	out := slices.Clone(args)
	for i, arg := range out {
		if long.MatchString(arg) {
			out[i] = "-" + arg
		}
	}
	return out
}
