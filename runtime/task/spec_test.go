package task

import (
	"strings"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rate{
		"": 0, "0": Unlimited, "none": Unlimited, "7": 7, "10/s": 10, "100/m": 100 * PerMinute, "5/h": 5 * PerHour, "0.5/s": 0.5, "1/m": PerMinute,
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, float64(got), err, float64(want))
		}
		if again, err := ParseRate(got.String()); err != nil || again != want && (again < want*0.999999 || again > want*1.000001) {
			t.Errorf("%q reads back as %v, %v", got, float64(again), err)
		}
	}
	for _, text := range []string{"x", "1/d", "-1/s", "1/", "NaN/s", "1e300", "/m", "Inf"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		}
	}
	for rate, want := range map[Rate]string{100 * PerMinute: "100/m", 5 * PerHour: "5/h", 3: "3/s", 0.5: "30/m"} {
		if rate.String() != want {
			t.Errorf("%v prints as %q, want %q", float64(rate), rate, want)
		}
	}
}

func TestSpecValidate(t *testing.T) {
	t.Parallel()
	good := Spec{Name: "example.com/app/users.createUser"}
	if err := good.validate(); err != nil {
		t.Error(err)
	}
	for want, spec := range map[string]Spec{
		"the name must be":           {Name: "a b"},
		`serializer "pickle" is not`: {Name: "a", Serializer: "pickle"},
		"max retries -2":             {Name: "a", MaxRetries: new(-2)},
		"default retry delay -1s":    {Name: "a", DefaultRetryDelay: new(-time.Second)},
		"rate limit -1":              {Name: "a", RateLimit: -1},
		"can't be negative":          {Name: "a", Timeout: -1},
		"priority 10 is not":         {Name: "a", Priority: new(10)},
		`"my queue" is no name`:      {Name: "a", Queue: "my queue"},
		"both name the queue":        {Name: "a", Queue: "q", RoutingKey: "k"},
		`exchange type "tpic"`:       {Name: "a", Exchange: "x", ExchangeType: "tpic"},
	} {
		if err := spec.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", spec, err, want)
		}
	}
}
