/*
Taskgen turns annotated functions into tasks: typed stubs to call them with, and
a worker to run them.

	taskgen [flags] [packages]
	taskgen worker [flags] [packages]
	taskgen python [flags] [packages]

The first form writes a tasks_gen.go into each of the packages that has
functions with //task: directives, and removes one that no task needs any more.
Packages are directories and patterns as for the go command: ., ./users, ./...
or example.com/app/users. Without any, it is the package in the current
directory, so that this line is all that a package needs:

	//go:generate go tool taskgen

The second form writes a command that runs the tasks of all the packages, by
default of those in ./... : its main.go, and if some tasks are methods once a
setup.go, in which you make what they depend on. From then on go generate keeps
main.go up to date. The packages must be importable, so none can be a main
package, and no two tasks may have the same name. Those of other modules are
named by import path, and must have their tasks_gen.go already.

The third form writes a Python module with which Celery clients call the tasks
of all the packages, by default of those in ./... : typed, and with nothing to
configure. It needs Python 3.9 and Celery. The file is that of -o, and is
written only if it changes.

Code need not compile: only the signatures of tasks and the types in them must
be right. Files that are up to date are left alone, and nothing is written as
long as there is an error. A file that does not begin with our header is never
overwritten or removed.

Flags:

	-check      write nothing; show what would change and exit with 1 if anything would
	-tags a,b   additional build tags
	-o path     with worker: the directory of the command (default cmd/worker);
	            with python: the file of the module, or - for standard output
	-h          show this manual
	-version    show the version

Exit codes: 0 done, 1 errors in the code or, with -check, stale files, 2 wrong
usage. Errors are file:line:col: what is wrong and what to do, all in one run.

A function becomes a task by a directive in its doc comment:

	// createUser inserts the user and returns the new id.
	//
	//task:rate_limit 100/m
	//task:max_retries 5
	func createUser(ctx context.Context, username, password string) (int64, error) {

It is called as CreateUser.Delay(ctx, username, password). A method (m *Mailer)
digest is called as MailerDigest; the worker's setup makes the Mailer. The
context, the result and the error may each be missing. Parameters of type
task.Info and *slog.Logger are the worker's own and not part of a call.

The methods of an interface are tasks that others run, such as Python workers:

	//task:extern
	//task:name billing.tasks
	type Billing interface {
		SendInvoice(ctx context.Context, orderID int64) (Receipt, error)
	}

BillingSendInvoice.Delay(ctx, 17) sends billing.tasks.send_invoice(order_id=17).
*/
package main
