package users

import (
	"context"
	"fmt"
	"time"
)

// Mailer sends mail. Its methods are tasks that need it: the worker makes one, in setup.go.
type Mailer struct {
	// From is the sender's address.
	From string
}

// Mail is a mail that was sent.
type Mail struct {
	From, To, Subject string
	Sent              time.Time
}

// welcome greets a new user, at most two a second: the mail server is slow.
//
//task:queue quickstart
//task:rate_limit 2/s
func (m *Mailer) welcome(_ context.Context, username string) (Mail, error) {
	return Mail{
		From: m.From, To: username + "@example.com",
		Subject: fmt.Sprintf("Welcome, %s!", username), Sent: time.Now(),
	}, nil
}
