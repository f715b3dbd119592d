package task

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// delivery is what the options of a signature say of how to send it: the keyword arguments of Celery's apply_async.
type delivery struct {
	queue, exchange, exchangeType, routingKey string
	countdown                                 time.Duration
	eta, expires                              time.Time
	expiresIn                                 time.Duration
	priority                                  uint8
	// hard and soft are the limits [hard, soft] as they are written, nil where there is none.
	hard, soft any
	retries    int32
	serializer string
	// compression is the name of one.
	compression string
	// headers are those to be copied: the user's own, and some of Celery's.
	headers map[string]any
	// stamps are all options whose name is among stamped.
	stamped []string
	others  map[string]any
}

// set takes the option of a name.
func (d *delivery) set(name string, value any) (err error) {
	if value == nil {
		return nil
	}
	switch name {
	case "queue":
		if d.queue, err = nameOf(value); err == nil && d.queue != "" {
			err = checkQueueName(d.queue)
		}
	case "exchange":
		d.exchange, err = nameOf(value)
	case "exchange_type":
		if d.exchangeType, err = nameOf(value); err == nil {
			if _, known := exchangeTypes[d.exchangeType]; !known {
				err = fmt.Errorf("%q is no type of an exchange", d.exchangeType)
			}
		}
	case "routing_key":
		d.routingKey, err = nameOf(value)
	case "countdown":
		d.countdown, err = secondsOf(value)
	case "eta":
		d.eta, err = timeHeader(value)
	case "expires":
		if d.expiresIn, err = secondsOf(value); err != nil {
			d.expires, err = timeHeader(value)
		}
	case "priority":
		var n float64
		n, err = numberHeader(value)
		if n > 0 {
			d.priority = uint8(min(n, 9))
		}
	case "time_limit":
		d.hard, err = limitOf(value)
	case "soft_time_limit":
		d.soft, err = limitOf(value)
	case "retries":
		var n int
		if n, err = indexOf(value); err == nil {
			d.retries = int32(n)
		}
	case "serializer":
		d.serializer, err = nameOf(value)
	case "compression":
		d.compression, err = nameOf(value)
	case "shadow", "ignore_result", "replaced_task_nesting":
		d.header(name, value)
	case "headers":
		err = d.setHeaders(value)
	case "stamped_headers":
		err = d.setStamped(value)
	default:
		if d.others == nil {
			d.others = map[string]any{}
		}
		d.others[name] = value
	}
	return err
}

func (d *delivery) header(name string, value any) {
	if d.headers == nil {
		d.headers = map[string]any{}
	}
	d.headers[name] = headerValue(value)
}

func (d *delivery) setHeaders(value any) error {
	own, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("want a map, got %T", value)
	}
	for name, value := range own {
		if err := checkName(name); err != nil {
			return err
		}
		d.header(name, value)
	}
	return checkHeaders(d.headers)
}

func (d *delivery) setStamped(value any) error {
	names, ok := value.([]any)
	if !ok {
		return fmt.Errorf("want a list, got %T", value)
	}
	for _, n := range names {
		name, err := nameOf(n)
		if err != nil {
			return err
		}
		d.stamped = append(d.stamped, name)
	}
	return nil
}

// putHeaders writes what the options say of headers.
func (d *delivery) putHeaders(headers map[string]any) error {
	if d.hard != nil || d.soft != nil {
		headers["timelimit"] = []any{d.hard, d.soft}
	}
	if d.retries > 0 {
		headers["retries"] = d.retries
	}
	if len(d.stamped) > 0 {
		names, stamps := make([]any, len(d.stamped)), map[string]any{}
		for i, name := range d.stamped {
			names[i] = name
			if stamp, ok := d.others[name]; ok {
				stamps[name] = headerValue(stamp)
			}
		}
		headers["stamped_headers"], headers["stamps"] = names, stamps
	}
	return addHeaders(headers, d.headers)
}

// secondsOf reads a number of seconds.
func secondsOf(value any) (time.Duration, error) {
	seconds, err := numberHeader(value)
	if err != nil {
		return 0, err
	}
	if math.IsNaN(seconds) || math.Abs(seconds) >= maxTimeLimit.Seconds() {
		return 0, errors.New("want seconds, fewer than a hundred years")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// limitOf is a time limit as a header has it.
func limitOf(value any) (any, error) {
	seconds, err := numberHeader(value)
	if err != nil {
		return nil, err
	}
	if !(seconds > 0) || seconds >= maxTimeLimit.Seconds() {
		return nil, nil
	}
	return seconds, nil
}

// headerValue makes of a value one that every AMQP client reads alike.
func headerValue(value any) any {
	switch v := value.(type) {
	case int64:
		if v == int64(int32(v)) {
			return int32(v)
		}
		return exactFloat(float64(v), int64(float64(v)) == v, strconv.FormatInt(v, 10))
	case uint64:
		return exactFloat(float64(v), uint64(float64(v)) == v, strconv.FormatUint(v, 10))
	case *big.Int:
		return v.String()
	case time.Time:
		return v.Format(timeFormat)
	case []byte:
		if utf8.Valid(v) {
			return string(v)
		}
		return base64.StdEncoding.EncodeToString(v)
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = headerValue(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = headerValue(v[name])
		}
		return out
	}
	return value
}

// exactFloat is a whole number beyond int32 as the float that is the same, or else as text.
func exactFloat(x float64, exact bool, text string) any {
	if exact && math.Abs(x) <= 1<<53 {
		return x
	}
	return text
}
