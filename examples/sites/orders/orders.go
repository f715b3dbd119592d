// Package orders has a task that runs where its data is: the stock of a site is at that
// site and nowhere else, so the order travels there.
package orders

//go:generate go tool taskgen

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/taskgen/taskgen/runtime/task"
)

// Site is a warehouse. Its worker has it in memory.
type Site struct {
	name string

	mu      sync.Mutex
	stock   map[string]int
	shipped map[int64]Receipt
}

// NewSite opens a site with what it has in stock.
func NewSite(name string, stock map[string]int) *Site {
	return &Site{name: name, stock: maps.Clone(stock), shipped: map[int64]Receipt{}}
}

// Queue is what the site's worker takes orders from.
func (s *Site) Queue() string { return "orders." + s.name }

// Binding leads the orders for the site to its queue, and no others.
func (s *Site) Binding() task.Binding {
	return task.Binding{Exchange: "orders", RoutingKey: "site." + s.name}
}

// Receipt says where an order was shipped from, and what is left there.
type Receipt struct {
	Site string
	Left int
}

// ship takes an order's goods out of the stock of the site that it is for. It may run twice for
// one order, and ships it once.
//
//task:exchange orders
//task:routing_key site.{site}
func (s *Site) ship(site string, order int64, item string, quantity int) (Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if site != s.name {
		return Receipt{}, task.Permanent(fmt.Errorf("order %d is for %s and came to %s", order, site, s.name))
	}
	if receipt, done := s.shipped[order]; done {
		return receipt, nil
	}
	if s.stock[item] < quantity {
		return Receipt{}, task.Permanent(fmt.Errorf("order %d: %s has %d of %s, not %d", order, site, s.stock[item], item, quantity))
	}
	s.stock[item] -= quantity
	s.shipped[order] = Receipt{Site: s.name, Left: s.stock[item]}
	return s.shipped[order], nil
}

// Shipped are the orders that left the site, sorted.
func (s *Site) Shipped() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.shipped))
}
