package rabbitmq

import (
	"fmt"
	"maps"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxHeaders is the most that properties and headers of a message may take on the wire:
// they must fit into one frame, and the broker closes the connection of who
// sends more. What is missing to [frameSize] is for the properties.
const maxHeaders = frameSize - 4<<10

// checkHeaders refuses what not every AMQP client reads alike. Python takes an
// int16 for a string and a negative int64 for a huge number; an int is cut to 32 bits.
func checkHeaders(headers map[string]any) error {
	for name, value := range headers {
		if err := checkHeader(value); err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
	}
	return nil
}

func checkHeader(value any) error {
	switch v := value.(type) {
	case nil, string, bool, int32, float64:
		return nil
	case []any:
		for i, element := range v {
			if err := checkHeader(element); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	case map[string]any:
		return checkHeaders(v)
	}
	return fmt.Errorf("a %T can't be sent (allowed are string, bool, int32, float64, nil, []any and map[string]any)", value)
}

// toTable makes headers fit for the library, which wants its own type for
// nested maps. It copies only where it must.
func toTable(headers map[string]any) amqp.Table {
	table, copied := amqp.Table(headers), false
	for name, value := range headers {
		switch value.(type) {
		case map[string]any, []any:
			if !copied {
				table, copied = make(amqp.Table, len(headers)), true
				maps.Copy(table, headers)
			}
			table[name] = toField(value)
		}
	}
	return table
}

func toField(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return toTable(v)
	case []any:
		fields := make([]any, len(v))
		for i, element := range v {
			fields[i] = toField(element)
		}
		return fields
	}
	return value
}

// fromTable is the reverse of toTable, in place: the table is ours.
func fromTable(table amqp.Table) map[string]any {
	for name, value := range table {
		switch value.(type) {
		case amqp.Table, []any:
			table[name] = fromField(value)
		}
	}
	return table
}

func fromField(value any) any {
	switch v := value.(type) {
	case amqp.Table:
		return fromTable(v)
	case []any:
		for i, element := range v {
			v[i] = fromField(element)
		}
	}
	return value
}

// tableSize is what a table takes on the wire.
func tableSize(table map[string]any) int {
	size := 4
	for name, value := range table {
		size += 1 + len(name) + fieldSize(value)
	}
	return size
}

func fieldSize(value any) int {
	switch v := value.(type) {
	case nil:
		return 1
	case bool, int8, byte:
		return 2
	case int16, uint16:
		return 3
	case int, int32, uint32, float32:
		return 5
	case string:
		return 5 + len(v)
	case []byte:
		return 5 + len(v)
	case map[string]any:
		return 1 + tableSize(v)
	case amqp.Table:
		return 1 + tableSize(v)
	case []any:
		size := 5
		for _, element := range v {
			size += fieldSize(element)
		}
		return size
	}
	return 9
}

// The headers that brokers add on the way. None may travel on: x-death makes
// the broker take a retry for a dead-letter cycle and drop it, and the count is
// of this delivery, not of the next message.
const (
	deliveryCountHeader = "x-delivery-count"
	deathHeader         = "x-death"
	firstDeathPrefix    = "x-first-death-"
	lastDeathPrefix     = "x-last-death-"
)

// byBroker says whether a header is one of those.
func byBroker(name string) bool {
	return strings.HasPrefix(name, "x-") && (name == deliveryCountHeader || name == deathHeader ||
		strings.HasPrefix(name, firstDeathPrefix) || strings.HasPrefix(name, lastDeathPrefix))
}
