package config

import (
	"testing"
	"time"
)

func TestKeep(t *testing.T) {
	for text, want := range map[string]Keep{
		"forever": {}, "30d": {Age: 30 * day}, "1000 messages": {Count: 1000}, "64MiB": {Size: 64 << 20}, "100 bytes": {Size: 100},
		"12h, 5 messages, 1KiB": {Age: 12 * time.Hour, Count: 5, Size: 1 << 10},
	} {
		var k Keep
		if err := k.UnmarshalText([]byte(text)); err != nil || k != want || k.String() != text {
			t.Errorf("%q: %+v, %v, written %q", text, k, err, k)
		}
	}
	for _, text := range []string{"", "0", "30", "30d,", "30d, 40d", "0 messages", "-1 messages", "1000messages 2", "64MB", "for ever", "1 bytes, 1KiB", "99999999999999999999 messages"} {
		var k Keep
		if err := k.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, k)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "4096": 4096, "4KiB": 4096, "16 MiB": 16 << 20, "1gib": 1 << 30, "800": 800} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "4KB", "4K", "1.5MiB", "KiB", "9999999999GiB", "99999999999999999999", "4 096"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken as %d", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0", 800: "800", 4096: "4KiB", 4097: "4097", 3 << 20: "3MiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %s, want %s", int64(size), got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "25s": 25 * time.Second, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond,
	} {
		got, err := parseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: got %s %v, want %s", text, got, err, want)
		}
		if again, err := parseDuration(formatDuration(got)); err != nil || again != got {
			t.Errorf("%s is written %s", text, formatDuration(got))
		}
	}
	for _, text := range []string{"", "25", "-5s", "d", "-1d", "1d-5s", "7 days", "1w", "99999d", "12h1d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q was taken as %s", text, got)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]string{"0": "0", "0/m": "0", "60/m": "60/m", "60/1m": "60/m", "10/15m": "10/15m", "200/s": "200/s", "5/1d": "5/d"} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got.String() != want {
			t.Errorf("%s: got %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "60", "-1/s", "60/", "60/0s", "60/x", "/m", "1.5/s", "60/-1m"} {
		var got Rate
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken as %s", text, got)
		}
	}
	if got := (Rate{N: 30, Per: time.Minute}).PerSecond(); got != 0.5 {
		t.Errorf("30/m is %v a second", got)
	}
}
