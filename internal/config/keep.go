package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Keep is what a topic keeps: messages that are not older, not more, and
// together not longer, written 30d, 1000 messages, 64MiB, or several of these.
// The zero Keep, written forever, keeps all.
type Keep struct {
	Age   time.Duration
	Count uint64
	Size  Size
}

const forever = "forever"

// minAge is what is kept of everything, for who is reading it at this moment.
const minAge = 10 * time.Minute

// String writes the bounds, with commas between.
func (k Keep) String() string {
	var parts []string
	if k.Age > 0 {
		parts = append(parts, formatDuration(k.Age))
	}
	if k.Count > 0 {
		parts = append(parts, strconv.FormatUint(k.Count, 10)+" messages")
	}
	if k.Size > 0 {
		parts = append(parts, k.Size.String()+map[bool]string{true: " bytes"}[k.Size%(1<<10) != 0])
	}
	if len(parts) == 0 {
		return forever
	}
	return strings.Join(parts, ", ")
}

// UnmarshalText reads what String writes.
func (k *Keep) UnmarshalText(text []byte) error {
	*k = Keep{}
	if string(text) == forever {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		if !k.bound(strings.TrimSpace(part)) {
			return fmt.Errorf("%q does not say what to keep; write forever, or one or more of an age as 30d, a count as 1000 messages and a size as 64MiB, with commas between", text)
		}
	}
	if k.Age > 0 && k.Age < minAge {
		return fmt.Errorf("%q keeps less than %s, which is kept whatever this says; write %s or more", text, formatDuration(minAge), formatDuration(minAge))
	}
	return nil
}

// bound reads one bound; ok is false for what is none, or is said twice.
func (k *Keep) bound(part string) (ok bool) {
	digits, unit := splitUnit(part)
	if unit == "messages" {
		n, err := strconv.ParseUint(digits, 10, 48)
		ok, k.Count = err == nil && n > 0 && k.Count == 0, n
		return ok
	}
	if strings.HasSuffix(unit, "iB") || unit == "bytes" {
		var s Size
		err := s.UnmarshalText([]byte(strings.TrimSuffix(part, " bytes")))
		ok, k.Size = err == nil && s > 0 && k.Size == 0, s
		return ok
	}
	d, err := parseDuration(part)
	ok, k.Age = err == nil && d > 0 && k.Age == 0, d
	return ok
}
