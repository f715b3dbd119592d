package codec_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// decoded is the argument x of a call with one argument, given as JSON.
func decoded[T any](t *testing.T, s codec.Serializer, text string, visit func(codec.Value, *T)) (T, error) {
	t.Helper()
	var x T
	_, err := s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&x, visit))
	return x, err
}

// readable runs a test for each serializer that others read too.
func readable(t *testing.T, test func(*testing.T, codec.Serializer)) {
	for _, name := range []string{"msgpack", "json", "yaml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := codec.ByName(name)
			test(t, s)
		})
	}
}

// A whole number that a float can't hold is an error, not another number.
func TestWholeNumbersAsFloats(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for text, want := range map[string]float64{
			`7`: 7, `-9007199254740992`: -1 << 53, `9007199254740994`: 1<<53 + 2, `9223372036854775808`: 1 << 63,
			`-9223372036854775808`: -1 << 63,
		} {
			if got, err := decoded(t, s, text, codec.Float[float64]); err != nil || got != want {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		}
		for _, text := range []string{`9007199254740993`, `-9007199254740993`, `9223372036854775807`, `18446744073709551615`} {
			_, err := decoded(t, s, text, codec.Float[float64])
			checkArgumentError(t, text, err, "x", "want float64, got a whole number that it can't hold exactly")
		}
	})
	for _, name := range []string{"json", "yaml"} {
		s, _ := codec.ByName(name)
		if got, err := decoded(t, s, `1180591620717411303424`, codec.Float[float64]); err != nil || got != 1<<70 {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		_, err := decoded(t, s, `1180591620717411303425`, codec.Float[float64])
		checkArgumentError(t, name, err, "x", "want float64, got a whole number that it can't hold exactly")
	}
	// What others write for a float of that size: as many digits as tell it from its neighbours.
	s, _ := codec.ByName("json")
	if got, err := decoded(t, s, `123456789012345680000`, codec.Float[float64]); err != nil || got != 123456789012345680000 {
		t.Errorf("got %v, %v", got, err)
	}
}

// Numbers of any size fit into a big.Int, whatever they look like on the wire.
func TestBigIntegers(t *testing.T) {
	t.Parallel()
	visit := func(v codec.Value, p **big.Int) { codec.Pointer(v, p, codec.Any[big.Int]) }
	readable(t, func(t *testing.T, s codec.Serializer) {
		for _, text := range []string{`0`, `-5`, `9223372036854775807`, `9223372036854775808`, `18446744073709551615`} {
			if got, err := decoded(t, s, text, visit); err != nil || got.String() != text {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		}
		for _, n := range []*big.Int{big.NewInt(-5), new(big.Int).Lsh(big.NewInt(1), 63), new(big.Int).Lsh(big.NewInt(-1), 70)} {
			body, err := s.EncodeCall(visitFunc(&n, visit), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got *big.Int
			if _, err := s.DecodeCall(body, visitFunc(&got, visit)); err != nil || got.Cmp(n) != 0 {
				t.Errorf("%s: got %v, %v", n, got, err)
			}
		}
		if got, err := decoded(t, s, `null`, visit); err != nil || got != nil {
			t.Errorf("null: got %v, %v", got, err)
		}
		// Text is how msgpack carries it; Python sends it back like that.
		if got, err := decoded(t, s, `"-1180591620717411303424"`, visit); err != nil || got.String() != "-1180591620717411303424" {
			t.Errorf("text: got %v, %v", got, err)
		}
		for _, text := range []string{`1.5`, `true`, `"one"`, `[1]`} {
			if got, err := decoded(t, s, text, visit); err == nil {
				t.Errorf("%s: got %v", text, got)
			}
		}
	})
	for _, name := range []string{"json", "yaml"} {
		s, _ := codec.ByName(name)
		if got, err := decoded(t, s, `-1180591620717411303424`, visit); err != nil || got.String() != "-1180591620717411303424" {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// What comes as itself is JSON too: Python doesn't wrap values in JSON text.
func TestRawOfValues(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"msgpack", "yaml"} {
		s, _ := codec.ByName(name)
		for text, want := range map[string]string{
			`true`: `true`, `-5`: `-5`, `9007199254740993`: `9007199254740993`, `1.5`: `1.5`, `2.0`: `2.0`,
			`[1, null, "ä"]`: `[1,null,"ä"]`, `{"a": [{}]}`: `{"a":[{}]}`, `"{\"a\": 1}"`: `{"a": 1}`,
		} {
			if got, err := decoded(t, s, text, codec.JSON); err != nil || string(got) != want {
				t.Errorf("%s: %s: got %s, %v", name, text, got, err)
			}
		}
		_, err := decoded(t, s, `"hello"`, codec.JSON)
		checkArgumentError(t, name, err, "x", "want JSON text, got another text")
	}
	s, _ := codec.ByName("yaml")
	for text, want := range map[string]string{`1180591620717411303424`: `1180591620717411303424`, `2026-01-02`: `"2026-01-02T00:00:00+00:00"`} {
		if got, err := decodedYAML(s, text, codec.JSON); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
}

func decodedYAML[T any](s codec.Serializer, text string, visit func(codec.Value, *T)) (T, error) {
	var x T
	_, err := s.DecodeCall([]byte(`[[`+text+`], {}, {}]`), visitFunc(&x, visit))
	return x, err
}

// Nothing of a user's value gets lost where encoding/json would lose it.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	readable(t, func(t *testing.T, s codec.Serializer) {
		for _, text := range []string{`[1]`, `[1, 2, 3]`} {
			_, err := decoded(t, s, text, codec.Any[[2]int])
			checkArgumentError(t, text, err, "x", "want a list of 2, got one of another length")
		}
		if got, err := decoded(t, s, `[1, 2]`, codec.Any[[2]int]); err != nil || got != [2]int{1, 2} {
			t.Errorf("got %v, %v", got, err)
		}
		got, err := decoded(t, s, `{"a": [9007199254740993, 18446744073709551615, 2.0]}`, codec.Any[any])
		if want := (map[string]any{"a": []any{int64(9007199254740993), uint64(math.MaxUint64), 2.0}}); err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", any(want)) {
			t.Errorf("got %#v, %v", got, err)
		}
		_, err = decoded(t, s, `null`, codec.Any[uuid.UUID])
		if err == nil {
			t.Error("null is a UUID")
		}
		type pair struct {
			A [2]int `json:"a"`
			B any    `json:"b"`
		}
		if got, err := decoded(t, s, `{"A": [1, 2], "b": "x"}`, codec.Any[pair]); err != nil || got != (pair{[2]int{1, 2}, "x"}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// NaN and the infinities are in structs what they are outside.
func TestNotANumberInStructs(t *testing.T) {
	t.Parallel()
	type measure struct {
		At    string    `json:"at"`
		Value []float64 `json:"value"`
	}
	builtin(t, func(t *testing.T, s codec.Serializer) {
		m := measure{"x", []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1}}
		body, err := s.EncodeCall(visitFunc(&m, codec.Any[measure]), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got measure
		if _, err := s.DecodeCall(body, visitFunc(&got, codec.Any[measure])); err != nil || fmt.Sprint(got) != fmt.Sprint(m) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	s, _ := codec.ByName("json")
	var got measure
	body := `[[{"at": "x", "value": [NaN, Infinity, -Infinity, 1]}], {}, {}]`
	if _, err := s.DecodeCall([]byte(body), visitFunc(&got, codec.Any[measure])); err != nil || fmt.Sprint(got) != "{x [NaN +Inf -Inf 1]}" {
		t.Errorf("got %v, %v", got, err)
	}
	type raw struct{ At, Value json.RawMessage }
	r, err := decoded(t, s, `{"at": "x", "value": [NaN]}`, codec.Any[raw])
	if err != nil || string(r.At) != `"x"` || string(r.Value) != `[NaN]` {
		t.Errorf("got %s, %v", r, err)
	}
}
