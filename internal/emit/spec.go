package emit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dave/jennifer/jen"

	"github.com/taskgen/taskgen/internal/model"
)

// spec is the task.Spec with what differs from the defaults.
func (f *file) spec(t *model.Task) jen.Code {
	o := &t.Options
	var fields []jen.Code
	add := func(name string, value jen.Code) {
		fields = append(fields, jen.Id(name).Op(":").Add(value))
	}
	text := func(name, value string) {
		if value != "" {
			add(name, jen.Lit(value))
		}
	}
	flag := func(name string, value bool) {
		if value {
			add(name, jen.True())
		}
	}

	text("Name", t.Name)
	text("Signature", f.spelledSignature(t))
	text("Serializer", o.Serializer)
	text("Compression", o.Compression)
	if o.MaxRetries != nil {
		add("MaxRetries", jen.New(retries(*o.MaxRetries)))
	}
	if o.DefaultRetryDelay != nil {
		add("DefaultRetryDelay", jen.New(duration(*o.DefaultRetryDelay)))
	}
	flag("RetryBackoff", o.RetryBackoff)
	flag("RetryJitter", o.RetryJitter)
	flag("AutoRetry", o.AutoRetry)
	if o.RateLimit != "" {
		add("RateLimit", rate(o.RateLimit))
	}
	if o.Timeout != 0 {
		add("Timeout", duration(o.Timeout))
	}
	if o.Expires != 0 {
		add("Expires", duration(o.Expires))
	}
	flag("IgnoreResult", o.IgnoreResult)
	flag("TrackStarted", o.TrackStarted)
	flag("DisableErrorEmails", o.DisableErrorEmails)
	text("Queue", o.Queue)
	text("Exchange", o.Exchange)
	if o.ExchangeType != "" {
		add("ExchangeType", exchangeType(o.ExchangeType))
	}
	text("RoutingKey", o.RoutingKey)
	flag("NotMandatory", o.NotMandatory)
	flag("Immediate", o.Immediate)
	if o.Priority != nil {
		add("Priority", jen.New(jen.Lit(*o.Priority)))
	}
	flag("AckEarly", o.AckEarly)
	if len(o.Secret) > 0 {
		add("Secret", quoted(o.Secret))
	}
	flag("Extern", t.Extern != "")
	flag("Positional", o.Args == "positional")

	list := jen.Options{Open: "{", Close: "}", Separator: ",", Multi: len(fields) > 1}
	return jen.Qual(taskPath, "Spec").Custom(list, fields...)
}

func retries(n int) jen.Code {
	if n < 0 {
		return jen.Qual(taskPath, "Forever")
	}
	return jen.Lit(n)
}

// exchangeType is the constant of a type: task.Topic for topic. A name that is none gives code that
// does not parse, which File reports.
func exchangeType(name string) jen.Code {
	constant := map[string]string{"direct": "Direct", "topic": "Topic", "fanout": "Fanout", "headers": "Headers"}[name]
	if constant == "" {
		return jen.Op(fmt.Sprintf("exchange type %q", name))
	}
	return jen.Qual(taskPath, constant)
}

// rate is a rate as in "100/m": 100 * task.PerMinute. A value that is none
// gives code that does not parse, which File reports.
func rate(text string) jen.Code {
	if text == model.Unlimited {
		return jen.Qual(taskPath, "Unlimited")
	}
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(count), 64)
	per := map[string]string{"": "PerSecond", "s": "PerSecond", "m": "PerMinute", "h": "PerHour"}[strings.TrimSpace(unit)]
	if err != nil || per == "" {
		return jen.Op(fmt.Sprintf("rate limit %q", text))
	}
	return jen.Op(strconv.FormatFloat(n, 'f', -1, 64)).Op("*").Qual(taskPath, per)
}

var units = []struct {
	size time.Duration
	name string
}{
	{time.Hour, "Hour"},
	{time.Minute, "Minute"},
	{time.Second, "Second"},
	{time.Millisecond, "Millisecond"},
	{time.Microsecond, "Microsecond"},
	{time.Nanosecond, "Nanosecond"},
}

// duration is d as one would write it: 90 * time.Second, or where the number
// would get out of hand 2*time.Hour + 1*time.Second.
func duration(d time.Duration) jen.Code {
	const readable = 1000
	for _, unit := range units {
		if n := d / unit.size; d%unit.size == 0 && 0 < n && n < readable {
			return times(n, unit.name)
		}
	}
	sum := jen.Qual(timePath, "Duration").Call(jen.Lit(0))
	for i, first := 0, true; i < len(units); i++ {
		n := d / units[i].size
		if n == 0 {
			continue
		}
		d %= units[i].size
		if first {
			sum, first = times(n, units[i].name), false
		} else {
			sum.Op("+").Add(times(n, units[i].name))
		}
	}
	return sum
}

func times(n time.Duration, unit string) *jen.Statement {
	return jen.Op(strconv.FormatInt(int64(n), 10)).Op("*").Qual(timePath, unit)
}
