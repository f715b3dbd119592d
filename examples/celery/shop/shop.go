// Package shop has tasks that Python calls, and calls tasks that Python runs.
package shop

//go:generate go tool taskgen
//go:generate go tool taskgen python . -o ../python/go_tasks.py

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Order is what a customer wants.
type Order struct {
	ID     int64     `json:"id"`
	Placed time.Time `json:"placed"`
	Lines  []Line    `json:"lines"`
	Note   string    `json:"note,omitempty"`
}

// Line is one article of an order.
type Line struct {
	Article string  `json:"article"`
	Count   int     `json:"count"`
	Price   float64 `json:"price"`
}

// Quote is what an order costs, and until when.
type Quote struct {
	Order int64     `json:"order"`
	Total float64   `json:"total"`
	Until time.Time `json:"until"`
}

// price adds up an order, and holds the price for a while.
//
//task:queue example-shop
//task:expires 1h
func price(order Order, discount float64, hold time.Duration) (Quote, error) {
	if len(order.Lines) == 0 {
		return Quote{}, fmt.Errorf("order %d is empty", order.ID)
	}
	sum := 0.0
	for _, line := range order.Lines {
		sum += float64(line.Count) * line.Price
	}
	return Quote{Order: order.ID, Total: math.Round(100*sum*(1-discount)) / 100, Until: order.Placed.Add(hold)}, nil
}

// label prints an address as an image, as a printer takes it.
//
//task:queue example-shop
//task:secret pin
func label(pin string, printedAt time.Time, logo []byte, lines ...string) []byte {
	text := fmt.Appendf(logo, "%s %d", printedAt.Format(time.DateOnly), len(pin))
	for _, line := range lines {
		text = fmt.Append(text, " ", line)
	}
	return text
}

// checkout charges a customer, which is still a matter of Python's.
//
//task:queue example-shop
//task:timeout 30s
func checkout(ctx context.Context, customerID int64, amount float64) (string, error) {
	call, err := BillingCharge.Delay(ctx, customerID, amount)
	if err != nil {
		return "", err
	}
	receipt, err := call.Get(ctx)
	return receipt.Number, err
}

// Billing is what Python workers do: see ../python/billing.py.
//
//task:extern
//task:name billing
//task:queue example-billing
type Billing interface {
	// Charge charges a customer.
	Charge(ctx context.Context, customerID int64, amount float64) (Receipt, error)

	// Refund gives a customer something back. Python's function takes its arguments by position only.
	//
	//task:args positional
	Refund(customerID int64, amounts []float64) (float64, error)
}

// Receipt is what a charge returns.
type Receipt struct {
	Number string    `json:"number"`
	At     time.Time `json:"at"`
}
