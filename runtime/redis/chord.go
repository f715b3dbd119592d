package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// chordPage is how many parts are read at a time.
	chordPage = 100
	// maxChord bounds the values of all parts of a chord, in bytes.
	maxChord = 64 << 20
)

func (s *Store) groupKey(group, what string) string {
	return s.address.prefix + "celery-taskset-meta-" + group + what
}

// chordKeys are Celery's: the parts that have ended, their number, and those that were added later.
func (s *Store) chordKeys(group string) []string {
	return []string{s.groupKey(group, ".j"), s.groupKey(group, ".s"), s.groupKey(group, ".t")}
}

// StartChord implements [task.ChordStore].
func (s *Store) StartChord(ctx context.Context, group string, size int) error {
	_, err := insist(ctx, s, func(ctx context.Context) (struct{}, error) {
		_, err := s.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			set(ctx, p, s.groupKey(group, ".s"), size, 0)
			return nil
		})
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("chord %s: its size is not stored: %w", group, err)
	}
	return nil
}

// endPart adds a part, unless the one with its index is there, and returns how many there are, and should be. What Celery does in a
// transaction adds a second one for a part that ran twice and had two values.
var endPart = goredis.NewScript(`
if ARGV[1] == '+inf' or redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1]) == 0 then
	redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
return {tostring(redis.call('ZCARD', KEYS[1])), redis.call('GET', KEYS[2]) or '', redis.call('GET', KEYS[3]) or ''}`)

// EndChordPart implements [task.ChordStore].
func (s *Store) EndChordPart(ctx context.Context, group string, part task.ChordPart) ([]task.ChordPart, error) {
	encoded, err := encodePart(part)
	if err != nil {
		return nil, fmt.Errorf("chord %s: task %s: %w as JSON: %w", group, part.ID, task.ErrUnstorable, err)
	}
	index := "+inf"
	if part.Index >= 0 {
		index = strconv.Itoa(part.Index)
	}
	counts, err := insist(ctx, s, func(ctx context.Context) ([]string, error) {
		return endPart.Run(ctx, s.client, s.chordKeys(group), index, encoded, int(defaultTTL.Seconds())).StringSlice()
	})
	if err != nil {
		return nil, fmt.Errorf("chord %s: that task %s has ended is not stored: %w", group, part.ID, err)
	}
	ended, size, err := readCounts(counts)
	if err != nil {
		return nil, fmt.Errorf("chord %s: %w", group, err)
	}
	if ended != size {
		return nil, nil
	}
	stored, err := insist(ctx, s, func(ctx context.Context) ([]goredis.Z, error) { return s.parts(ctx, group, size) })
	if err != nil {
		return nil, fmt.Errorf("chord %s: its parts can't be read: %w", group, err)
	}
	parts := make([]task.ChordPart, len(stored))
	for i, z := range stored {
		text, _ := z.Member.(string)
		if parts[i], err = decodePart([]byte(text)); err != nil {
			return nil, fmt.Errorf("chord %s: %w", group, err)
		}
		parts[i].Index = -1
		if z.Score >= 0 && z.Score <= math.MaxInt32 {
			parts[i].Index = int(z.Score)
		}
	}
	return parts, nil
}

// readCounts are how many parts have ended, and how many there are; -1 if nobody has said so, as while a chord is being started.
func readCounts(counts []string) (ended, size int, err error) {
	if len(counts) != 3 {
		return 0, 0, errors.New("the server's answer is no list of three")
	}
	numbers := [3]int{0, -1, 0}
	for i, text := range counts {
		if text == "" {
			continue
		}
		if numbers[i], err = strconv.Atoi(text); err != nil || numbers[i] < 0 || numbers[i] > math.MaxInt32 {
			return 0, 0, fmt.Errorf("%.20q is no number of parts", text)
		}
	}
	if numbers[1] < 0 {
		return numbers[0], -1, nil
	}
	return numbers[0], numbers[1] + numbers[2], nil
}

// parts reads the parts that have ended.
func (s *Store) parts(ctx context.Context, group string, size int) ([]goredis.Z, error) {
	var parts []goredis.Z
	total := 0
	for from := 0; from < size; from += chordPage {
		page, err := s.client.ZRangeWithScores(ctx, s.groupKey(group, ".j"), int64(from), int64(min(from+chordPage, size)-1)).Result()
		if err != nil {
			return nil, err
		}
		for _, z := range page {
			text, _ := z.Member.(string)
			total += len(text)
		}
		if total > maxChord {
			return nil, errChordTooLarge
		}
		parts = append(parts, page...)
	}
	return parts, nil
}

var errChordTooLarge = fmt.Errorf("they have more than %d bytes", maxChord)

// ForgetChord implements [task.ChordStore].
func (s *Store) ForgetChord(ctx context.Context, group string) error {
	_, err := insist(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.client.Del(ctx, s.chordKeys(group)...).Err()
	})
	if err != nil {
		return fmt.Errorf("chord %s: it can't be deleted: %w", group, err)
	}
	return nil
}

// encodePart is [1, id, state, value], as Python spells it.
func encodePart(part task.ChordPart) (string, error) {
	value, err := toJSON(part.ContentType, part.Body)
	if err != nil {
		return "", err
	}
	var list []string
	for _, text := range []string{part.ID, string(part.State)} {
		quoted, err := codec.JSONText(func(v codec.Value) { v.String(text) })
		if err != nil {
			return "", err
		}
		list = append(list, string(quoted))
	}
	return "[1, " + strings.Join(list, ", ") + ", " + string(value) + "]", nil
}

// decodePart reads one.
func decodePart(text []byte) (task.ChordPart, error) {
	json, _ := codec.ByName("json")
	tree, err := json.DecodeTree(text)
	if err != nil {
		return task.ChordPart{}, fmt.Errorf("a part can't be read (is Celery's result_serializer json?): %w", err)
	}
	list, _ := tree.([]any)
	if len(list) != 4 {
		return task.ChordPart{}, errors.New("a part is no list of four")
	}
	id, _ := list[1].(string)
	state, _ := list[2].(string)
	if id == "" || !task.State(state).Final() {
		return task.ChordPart{}, errors.New("a part has no id, or no final state")
	}
	return task.ChordPart{ID: id, State: task.State(state), ContentType: contentType, Body: fourth(text)}, nil
}

// fourth is the last element of a JSON list of four, as it is spelled: decoded and written again, a number or a type of Python's
// could become another.
func fourth(list []byte) []byte {
	depth, commas, quoted := 0, 0, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			if commas++; commas == 3 {
				end := bytes.LastIndexByte(list, ']')
				return bytes.TrimSpace(list[i+1 : end])
			}
		}
	}
	return nil
}
