package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of a value. Sizes are of the tree: what stands in two places
// counts twice, so that nothing small in memory is huge when it is written.
const (
	maxValue = 1 << 20 // bytes
	maxDepth = 64

	sizeScalar = 16
	sizeEntry  = 48
)

// A value is nil, bool, int, float64, string, time.Time, time.Duration, *list
// or *object. Lists and objects know their size, and do not change.
type list struct {
	items []any
	size  int
	depth int
}

type object struct {
	fields map[string]any
	size   int
	depth  int
}

func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return sizeScalar + len(v)
	case *list:
		return v.size
	case *object:
		return v.size
	}
	return sizeScalar
}

func depthOf(v any) int {
	switch v := v.(type) {
	case *list:
		return v.depth
	case *object:
		return v.depth
	}
	return 0
}

var (
	errValueSize  = errors.New("a value became too large")
	errValueDepth = errors.New("a value became too deep")
)

// newList makes a list of items, which are its own from then on.
func newList(items []any) (*list, error) {
	l := &list{items: items, size: sizeScalar + sizeScalar*len(items)}
	for _, v := range items {
		l.size += sizeOf(v)
		l.depth = max(l.depth, depthOf(v))
		if l.size > maxValue {
			return nil, errValueSize
		}
	}
	if l.depth++; l.depth > maxDepth {
		return nil, errValueDepth
	}
	return l, nil
}

// newObject makes an object of fields, which are its own from then on.
func newObject(fields map[string]any) (*object, error) {
	o := &object{fields: fields, size: sizeScalar}
	for k, v := range fields {
		o.size += sizeEntry + len(k) + sizeOf(v)
		o.depth = max(o.depth, depthOf(v))
		if o.size > maxValue {
			return nil, errValueSize
		}
	}
	if o.depth++; o.depth > maxDepth {
		return nil, errValueDepth
	}
	return o, nil
}

// decodeJSON reads one JSON value. A number without a point or an exponent is
// an int where it fits.
func decodeJSON(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("it is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := decodeNext(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

func decodeNext(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return nil, errValueDepth
		}
		if t == '[' {
			return decodeList(d, depth)
		}
		return decodeObject(d, depth)
	case json.Number:
		return decodeNumber(string(t))
	default: // nil, bool, string
		return t, nil
	}
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	items, size := []any{}, 0
	for d.More() {
		v, err := decodeNext(d, depth+1)
		if err != nil {
			return nil, err
		}
		if size += sizeScalar + sizeOf(v); size > maxValue {
			return nil, errValueSize
		}
		items = append(items, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	return newList(items)
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	fields, size := map[string]any{}, 0
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		v, err := decodeNext(d, depth+1)
		if err != nil {
			return nil, err
		}
		if size += sizeEntry + len(key) + sizeOf(v); size > maxValue {
			return nil, errValueSize
		}
		fields[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	return newObject(fields)
}

func decodeNumber(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return int(n), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %.40s is out of range", text)
	}
	if !finite(f) {
		return nil, fmt.Errorf("%.40s is no number that can be written", text)
	}
	return f, nil
}

// finite says whether a value holds no number that is infinite or none: JSON has
// no such.
func finite(v any) bool {
	switch v := v.(type) {
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case *list:
		return !slices.ContainsFunc(v.items, func(item any) bool { return !finite(item) })
	case *object:
		for _, f := range v.fields {
			if !finite(f) {
				return false
			}
		}
	}
	return true
}

// appendJSON writes a value.
func appendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case *list:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *object:
		b = append(b, '{')
		for i, key := range sortedKeys(v.fields) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, key)
			b = append(b, ':')
			var err error
			if b, err = appendJSON(b, v.fields[key]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case string:
		return appendText(b, v), nil
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case float64:
		if !finite(v) {
			return nil, errors.New("a number is infinite or none")
		}
		t, err := json.Marshal(v)
		return append(b, t...), err
	case time.Time:
		return appendText(b, writeTime(v)), nil
	case time.Duration:
		return appendText(b, v.String()), nil
	}
	return nil, fmt.Errorf("a %T cannot be written", v)
}

// appendText writes a JSON string without the escapes that only HTML needs.
// What is not UTF-8 in it is replaced.
func appendText(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

func writeTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// plain is a value as callers outside of the package know it: maps, slices and
// what JSON has.
func plain(v any) any {
	switch v := v.(type) {
	case *list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = plain(item)
		}
		return items
	case *object:
		fields := make(map[string]any, len(v.fields))
		for k, f := range v.fields {
			fields[k] = plain(f)
		}
		return fields
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case time.Time:
		return writeTime(v)
	case time.Duration:
		return v.String()
	}
	return v
}

// own is a copy that shares no memory with what it was taken from: a short text
// cut out of a long one holds that one.
func own(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case *list:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = own(item)
		}
		return &list{items, v.size, v.depth}
	case *object:
		fields := make(map[string]any, len(v.fields))
		for k, f := range v.fields {
			fields[strings.Clone(k)] = own(f)
		}
		return &object{fields, v.size, v.depth}
	}
	return v
}

// fit is v as a value of type t; ok is false where it is none.
func fit(v any, t Type) (_ any, ok bool) {
	switch t {
	case TypeString:
		_, ok = v.(string)
	case TypeBoolean:
		_, ok = v.(bool)
	case TypeObject:
		_, ok = v.(*object)
	case TypeList:
		_, ok = v.(*list)
	case TypeInteger:
		if f, is := v.(float64); is {
			if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
				return nil, false
			}
			return int(f), true
		}
		_, ok = v.(int)
	case TypeNumber:
		switch n := v.(type) {
		case int:
			return float64(n), true
		case float64:
			return n, finite(n)
		}
	default:
		ok = true
	}
	return v, ok
}

// typeOf names a value's type for people.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case string:
		return "string"
	case *list:
		return "list"
	case *object:
		return "object"
	case time.Time:
		return "time"
	case time.Duration:
		return "duration"
	}
	return "unknown"
}

// someOf names a value's type in a sentence.
func someOf(v any) string { return some(typeOf(v)) }

func some(word string) string {
	switch word {
	case "nil", "unknown":
		return word
	case "integer", "object", "any":
		return "an " + word
	}
	return "a " + word
}
