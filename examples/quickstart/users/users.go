// Package users has the tasks of the quickstart: functions with //task:
// directives. tasks_gen.go, which taskgen writes, has what sends and runs them.
package users

//go:generate go tool taskgen

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// createUser inserts the user and returns the new id.
//
//task:queue quickstart
//task:serializer json
//task:rate_limit 100/m
//task:max_retries 5
//task:secret password
func createUser(_ context.Context, username, password string) (int64, error) {
	if username == "" || password == "" {
		return 0, errors.New("a user needs a name and a password")
	}
	return int64(crc32.ChecksumIEEE([]byte(username))), nil
}

// ErrFailWhale is what the status service says when it has too much to do.
var ErrFailWhale = errors.New("over capacity")

// sendStatus posts a status, and tries again a little later if the service is
// over capacity. It returns how many attempts that took.
//
//task:queue quickstart
//task:default_retry_delay 1s
//task:secret token
func sendStatus(ctx context.Context, log *slog.Logger, info task.Info, token, text string) (int, error) {
	log.Info("posting", "retries", info.Retries)
	if err := post(info.Retries); errors.Is(err, ErrFailWhale) {
		return 0, SendStatus.Retry(ctx, err, token, text)
	} else if err != nil {
		return 0, err
	}
	return info.Retries + 1, nil
}

// post stands for the status service: it takes the second attempt.
func post(retries int) error {
	if retries == 0 {
		return ErrFailWhale
	}
	return nil
}

// NotFoundError says that there is no such user.
type NotFoundError struct{ ID int64 }

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no user %d", e.ID) }

// deleteUser removes a user.
//
//task:queue quickstart
func deleteUser(_ context.Context, id int64) error {
	return &NotFoundError{ID: id}
}

// remind is sent for later, and tells when it ran.
//
//task:queue quickstart
func remind(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("nothing to be reminded of")
	}
	return time.Now(), nil
}
