package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzLogLine: whatever a message says of itself, a record is one line in every format, without characters that control
// a terminal, and says that and nothing else when it is read back.
func FuzzLogLine(f *testing.F) {
	for _, text := range []string{
		"", "users.create", hostile, "a b", "\r\n", "\r", "\n", "\x00", "\x1b[2J", "\u2028\u2029\u0085", "\u202e\u2066", "\ufeff", "\xff\xfe", "\xed\xa0\x80", `"`, `\`, "a=b", `a="b`,
		" level=ERROR msg=forged", `","level":"ERROR"`, `</script>`, "\u2028", strings.Repeat("x", 100_000), "😀\U000e0041", "\x7f\u009b31m", "{{.}}", "%s%!d(", "'", "`", "\t",
	} {
		f.Add(text, text, text)
		f.Add("users.create", "42", text)
	}
	f.Fuzz(func(t *testing.T, name, id, reason string) {
		for format, read := range map[string]func(string) (map[string]string, error){"text": readLogfmt, "json": readJSONLine} {
			var out bytes.Buffer
			log, err := (&logFlags{level: "debug", format: format}).open(&out)
			if err != nil {
				t.Fatal(err)
			}
			log.With("worker", id).Warn("task failed", "task", name, "id", id, "error", errors.New(reason), "took", time.Second)
			line, found := strings.CutSuffix(out.String(), "\n")
			if !found || strings.Contains(line, "\n") || printable(line) != line {
				t.Fatalf("%s: the record is %q", format, out.String())
			}
			got, err := read(line)
			if err != nil {
				t.Fatalf("%s: %q: %v", format, line, err)
			}
			want := map[string]string{"level": "WARN", "msg": "task failed", "worker": id, "task": name, "id": id, "error": reason, "took": "1s"}
			if format == "json" {
				for key, value := range want {
					want[key] = string([]rune(value)) // JSON is UTF-8
				}
			}
			if format == "text" {
				for key, value := range got { // what needs no quotes but is escaped can't be told from what looks so
					got[key], want[key] = printable(value), printable(want[key])
				}
			}
			delete(got, "time")
			delete(want, "time")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %q (-want +got):\n%s", format, line, diff)
			}
		}
	})
}

func readJSONLine(line string) (fields map[string]string, err error) {
	return fields, json.Unmarshal([]byte(line), &fields)
}

// readLogfmt reads the pairs of key and value of a line of text.
func readLogfmt(line string) (map[string]string, error) {
	fields := map[string]string{}
	for rest := line; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		key, tail, found := strings.Cut(rest, "=")
		if _, twice := fields[key]; !found || twice {
			return nil, fmt.Errorf("the key %q", key)
		}
		var value string
		if strings.HasPrefix(tail, `"`) {
			quoted, err := strconv.QuotedPrefix(tail)
			if err != nil {
				return nil, err
			}
			tail = tail[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
		} else {
			value, _, _ = strings.Cut(tail, " ")
			tail = tail[len(value):]
		}
		fields[key], rest = value, tail
	}
	return fields, nil
}
