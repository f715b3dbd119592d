package worker

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/mail"
	"github.com/taskgen/taskgen/runtime/task"
)

// mailVariable is where the URL of the mail server comes from without a -mail flag. Like that of the broker it has a
// password.
const mailVariable = "TASKGEN_MAIL"

// mailPatience is how long a worker that stops goes on sending mails.
const mailPatience = 5 * time.Second

// mailFlags say who is told of failed tasks.
type mailFlags struct {
	server urlFlag
	from   string
	to     []string
}

func (f *mailFlags) register(flags *pflag.FlagSet) {
	f.server = urlFlag{name: "mail", variable: mailVariable}
	f.server.register(flags, "`URL` of the mail server for errors, smtp://user:password@host:587\nor smtps://…", "")
	flags.StringArrayVar(&f.to, "mail-to", nil, "mail to `ADDRESSES` such as a@x.org,b@x.org when a task has failed\n(default nobody)")
	flags.StringVar(&f.from, "mail-from", "", "`ADDRESS` that the mails come from")
}

// open adds the hooks of the mails to the worker, if there is somebody to mail to. close sends what waits.
func (f *mailFlags) open(config *task.WorkerConfig) (closeMail func(), err error) {
	switch {
	case len(f.to) == 0 && !f.server.isGiven() && f.from == "":
		return func() {}, nil
	case len(f.to) == 0:
		return nil, misuse("-mail and -mail-from need -mail-to: who is to be told of failed tasks?")
	}
	url, err := f.server.value()
	switch {
	case err != nil:
		return nil, err
	case url == "":
		return nil, misuse("-mail-to needs -mail or %s, the URL of the mail server", mailVariable)
	case f.from == "":
		return nil, misuse("-mail-to needs -mail-from, the address that the mails come from")
	}
	sender, err := mail.New(mail.Config{URL: url, From: f.from, To: f.to, Logger: config.Logger})
	if err != nil {
		return nil, misuse("error mails: %w", err)
	}
	config.Hooks = append(config.Hooks, sender.Hooks())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), mailPatience)
		defer cancel()
		if err := sender.Close(ctx); err != nil {
			config.Logger.Error("the worker stops with mails unsent", "error", err)
		}
	}, nil
}
