// Package tasks has the tasks that are measured: they do nothing, so that what is measured is all around them.
package tasks

//go:generate go tool taskgen

// Started is called with the arguments of each run, where it begins.
var Started func(user, stamp string)

// noop stores no result, as the tasks of the others don't.
//
//task:ignore_result
//task:queue bench
func noop(user, stamp string) error {
	Started(user, stamp)
	return nil
}

// answer is noop with a result.
//
//task:queue bench
func answer(user, stamp string) (int64, error) {
	Started(user, stamp)
	return int64(len(user)), nil
}
