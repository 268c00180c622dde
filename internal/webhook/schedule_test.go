package webhook

import (
	"strings"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	want := []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second}
	for range 60 {
		want = append(want, time.Minute)
	}
	for d := 5 * time.Minute; d < 24*time.Hour; d *= 2 {
		want = append(want, d)
	}
	want = append(want, 24*time.Hour, 24*time.Hour)
	for n, d := range want {
		if got := delay(n + 1); got != d {
			t.Errorf("after %d tries %v, not %v", n+1, got, d)
		}
	}
	if delay(1_000_000_000) != 24*time.Hour || delay(0) != 5*time.Second || delay(-1) != 5*time.Second {
		t.Error("at its ends the table is wrong")
	}
}

func TestNext(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	far := now.Add(maxTrying)
	for _, c := range []struct {
		end    time.Time
		tries  int
		asked  time.Duration
		random float64
		want   time.Duration
	}{
		{far, 1, 0, 0.5, 5 * time.Second}, {far, 1, 0, 0, 4 * time.Second}, {far, 1, 0, 1, 6 * time.Second},
		{far, 10, 0, 0, 48 * time.Second}, {far, 10, 0, 1, 72 * time.Second},
		{far, 1, time.Minute, 0.5, time.Minute}, {far, 10, time.Second, 0.5, time.Minute}, {far, 1, 25 * time.Hour, 0, 24 * time.Hour},
		{now.Add(time.Second), 10, 0, 0.5, time.Second},                              // once more at the end
		{now.Add(time.Second), 10, time.Hour, 0.5, time.Hour},                        // not before it was asked for
		{now, 90, 0, 0.5, 24 * time.Hour}, {now.Add(-1), 90, 0, 0.5, 24 * time.Hour}, // for what comes behind
	} {
		if got := next(now, c.end, c.tries, c.asked, c.random).Sub(now).Round(time.Millisecond); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestJudge(t *testing.T) {
	for code, want := range map[int]Verdict{
		200: Taken, 201: Taken, 204: Taken, 299: Taken, 100: Failed, 0: Failed, 300: Refused, 301: Refused, 308: Refused, 400: Refused, 401: Refused,
		403: Refused, 404: Refused, 407: Refused, 408: Failed, 409: Refused, 410: Gone, 411: Refused, 422: Refused, 428: Refused, 429: Failed, 431: Refused, 499: Refused,
		500: Failed, 501: Failed, 502: Failed, 503: Failed, 504: Failed, 599: Failed, 999: Failed,
	} {
		if got := judge(code); got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
}

func TestHeaderValue(t *testing.T) {
	for text, want := range map[string]string{
		"628@s.whatsapp.net": "628@s.whatsapp.net", "a b": "a%20b", "a\r\nX: y": "a%0D%0AX:%20y", "é": "%C3%A9", "100%": "100%25", "": "", "\x7f\x00": "%7F%00",
	} {
		if got := headerValue(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// TestSealBelongs sees that what is sealed opens in its own row, with its own key.
func TestSealBelongs(t *testing.T) {
	a, err1 := newSealer([]byte(strings.Repeat("a", 32)))
	b, err2 := newSealer([]byte(strings.Repeat("b", 32)))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	sealed := a.seal(7, "whsec_x")
	if got, err := a.open(7, sealed); err != nil || got != "whsec_x" {
		t.Errorf("%s, %v", got, err)
	}
	for name, f := range map[string]func() (string, error){
		"another row": func() (string, error) { return a.open(8, sealed) },
		"another key": func() (string, error) { return b.open(7, sealed) },
		"cut":         func() (string, error) { return a.open(7, sealed[:len(sealed)-1]) },
		"nothing":     func() (string, error) { return a.open(7, nil) },
	} {
		if got, err := f(); err == nil {
			t.Errorf("%s opens %s", name, got)
		}
	}
	if string(sealed) == string(a.seal(7, "whsec_x")) {
		t.Error("the same is sealed the same")
	}
}
