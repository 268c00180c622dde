package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written 4096, 4KiB, 16MiB or 1GiB.
type Size int64

// Int returns the size for where an int is wanted.
func (s Size) Int() int { return int(s) }

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if n := int64(s); n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText reads what String writes.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := splitUnit(string(text))
	scale := int64(1)
	if unit != "" {
		scale = 0
		for _, u := range sizeUnits {
			if strings.EqualFold(unit, u.name) {
				scale = u.bytes
			}
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || scale == 0 || n > math.MaxInt64/scale {
		return fmt.Errorf("%q is not a size; write bytes as 4096, 4KiB, 16MiB or 1GiB", text)
	}
	*s = Size(n * scale)
	return nil
}

// splitUnit parts leading digits from what follows them.
func splitUnit(text string) (digits, unit string) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// Rate is so many of something within a time, written 60/m, 200/s or 10/15m;
// the zero Rate, written 0, is off.
type Rate struct {
	N   int
	Per time.Duration
}

// PerSecond is the rate as a number, 0 when it is off.
func (r Rate) PerSecond() float64 {
	if r.Per <= 0 {
		return 0
	}
	return float64(r.N) / r.Per.Seconds()
}

// String writes 60/m rather than 60/1m.
func (r Rate) String() string {
	if r.N == 0 {
		return "0"
	}
	per := formatDuration(r.Per)
	if digits, unit := splitUnit(per); digits == "1" {
		per = unit
	}
	return strconv.Itoa(r.N) + "/" + per
}

// UnmarshalText reads what String writes.
func (r *Rate) UnmarshalText(text []byte) error {
	wrong := fmt.Errorf("%q is not a rate; write a number and a time as 200/s, 60/m or 10/15m, or 0 for off", text)
	number, per, timed := strings.Cut(string(text), "/")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || !timed && n != 0 {
		return wrong
	}
	if n == 0 {
		*r = Rate{}
		return nil
	}
	if digits, _ := splitUnit(per); digits == "" {
		per = "1" + per
	}
	d, err := parseDuration(per)
	if err != nil || d <= 0 {
		return wrong
	}
	*r = Rate{N: int(n), Per: d}
	return nil
}

const day = 24 * time.Hour

// parseDuration reads Go's durations and days before them: 25s, 1h30m, 7d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration; write a number with its unit as 500ms, 25s, 15m, 24h or 7d", text)
	if text == "0" {
		return 0, nil
	}
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || text == "" {
		return 0, wrong
	}
	d := time.Duration(n) * day
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || more > math.MaxInt64-d {
			return 0, wrong
		}
		d += more
	}
	return d, nil
}

// formatDuration writes d in one unit where it can: 7d, 15m, 90s.
func formatDuration(d time.Duration) string {
	units := []struct {
		name string
		d    time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
	if d == 0 {
		return "0"
	}
	for _, u := range units {
		if d%u.d == 0 {
			return strconv.FormatInt(int64(d/u.d), 10) + u.name
		}
	}
	return d.String()
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func parseInt(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}
