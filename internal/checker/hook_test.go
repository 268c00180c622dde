package checker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testHook is a hook of an instance that is nowhere. Its server's life is *life.
func testHook(t *testing.T) (h *hook, found *findings, life *int) {
	t.Helper()
	found, life = &findings{name: "test"}, new(1)
	k := newKit(&Options{Seed: 1}, &server{clock: &clock{steps: []time.Duration{0}}})
	k.life = func() int { return *life }
	e := &emitter{kit: k, name: "north", ledger: newLedger(found, "instance/north")}
	h, err := newHook(t.Context(), e, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h, found, life
}

// tell tells a hook the event with a number; fails is what it makes of it.
func tell(h *hook, seq uint64, fails bool) {
	h.row, h.next = 0, time.Now().Add(time.Hour)
	if fails {
		h.next = time.Time{}
	}
	f := said(seq, int(seq))
	h.hear(f, f.id, []byte(f.text))
}

var tellings = []struct {
	name string
	do   func(h *hook, life *int)
	want [kinds]int
}{
	{"in order", func(h *hook, _ *int) {
		tell(h, 1, false)
		tell(h, 2, false)
	}, [kinds]int{}},
	{"a hole", func(h *hook, _ *int) {
		tell(h, 1, false)
		tell(h, 3, false)
	}, [kinds]int{Lost: 3}}, // by its number, in the record, and it never came
	{"failed, and again", func(h *hook, _ *int) {
		tell(h, 1, true)
		tell(h, 1, true)
		tell(h, 1, false)
		tell(h, 2, false)
	}, [kinds]int{}},
	{"failed, and passed over", func(h *hook, _ *int) {
		tell(h, 1, false)
		tell(h, 2, true)
		tell(h, 3, false)
	}, [kinds]int{Lost: 3}},
	{"taken, and again for no reason", func(h *hook, _ *int) {
		tell(h, 1, false)
		tell(h, 1, false)
	}, [kinds]int{Doubled: 1}},
	{"taken, and again after a kill", func(h *hook, life *int) {
		tell(h, 1, false)
		tell(h, 2, false)
		*life++
		tell(h, 1, false)
		tell(h, 2, false)
		tell(h, 3, false)
	}, [kinds]int{}},
	{"again and again after one kill", func(h *hook, life *int) {
		tell(h, 1, false)
		tell(h, 2, false)
		*life++
		tell(h, 1, false)
		tell(h, 1, false)
	}, [kinds]int{Doubled: 1}},
	{"a hole after a kill", func(h *hook, life *int) {
		tell(h, 1, false)
		*life++
		tell(h, 3, false)
	}, [kinds]int{Lost: 3}},
	{"taken long ago, and again after a kill", func(h *hook, life *int) {
		tell(h, 1, false)
		long := h.told[1]
		long.taken = time.Now().Add(-keptAfter * pingEvery)
		h.told[1] = long
		tell(h, 2, false)
		*life++
		tell(h, 1, false)
		tell(h, 2, false)
	}, [kinds]int{Doubled: 1}},
	{"taken before a stop in peace, and again", func(h *hook, life *int) {
		tell(h, 1, false)
		h.settle()
		*life++
		tell(h, 1, false)
	}, [kinds]int{Doubled: 1}},
	{"again with another body", func(h *hook, _ *int) {
		tell(h, 1, true)
		f := said(1, 1)
		h.next = time.Now().Add(time.Hour)
		h.hear(f, f.id, []byte("another"))
	}, [kinds]int{Other: 1}},
	{"never told", func(h *hook, _ *int) {
		h.instance.ledger.ack(item{0, 2}, ack{id: "id2"})
		tell(h, 1, false)
	}, [kinds]int{Lost: 1}},
	{"only told while it failed", func(h *hook, _ *int) {
		h.instance.ledger.ack(item{0, 1}, ack{id: "id1"})
		tell(h, 1, true)
	}, [kinds]int{Lost: 1}},
}

func TestTellings(t *testing.T) {
	for _, c := range tellings {
		t.Run(c.name, func(t *testing.T) {
			h, found, life := testHook(t)
			if c.want[Lost] == 3 {
				for n := 1; n <= 3; n++ {
					h.instance.ledger.ack(item{0, n}, ack{id: fmt.Sprintf("id%d", n)})
				}
			}
			c.do(h, life)
			h.instance.ledger.reconcile()
			if found.found != c.want {
				t.Errorf("found %v, want %v (lost, doubled, swapped, other): %q", found.found, c.want, found.examples)
			}
		})
	}
}

// TestSignatures: a hook takes what is signed as Standard Webhooks says, and
// nothing else.
func TestSignatures(t *testing.T) {
	key := []byte("twenty-four bytes and more")
	if got, err := webhookKey("whsec_" + base64.StdEncoding.EncodeToString(key)); err != nil || string(got) != string(key) {
		t.Fatalf("%q, %v", got, err)
	}
	body := `{"event":"messages.upsert","instance":{"name":"north"},"data":{"text":"p0 n1 x"},"id":"id1","seq":1}`
	sign := func(stamp string) string {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write([]byte("id1." + stamp + "." + body))
		return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	}
	now, old := strconv.FormatInt(time.Now().Unix(), 10), strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	for name, c := range map[string]struct {
		id, stamp, signature, body, agent, want string
	}{
		"good":                 {"id1", now, sign(now), body, "Kabar-Webhook/1", ""},
		"two signatures":       {"id1", now, "v1,AAAA " + sign(now), body, "Kabar-Webhook/1", ""},
		"another's signature":  {"id1", now, "v1,AAAA", body, "Kabar-Webhook/1", "webhook-signature"},
		"another body":         {"id1", now, sign(now), strings.Replace(body, "n1", "n2", 1), "Kabar-Webhook/1", "webhook-signature"},
		"an old one":           {"id1", old, sign(old), body, "Kabar-Webhook/1", "webhook-timestamp"},
		"another id":           {"id2", now, sign(now), body, "Kabar-Webhook/1", "webhook-id"},
		"another agent":        {"id1", now, sign(now), body, "curl", "User-Agent"},
		"another instance's":   {"id1", now, sign(now), strings.Replace(body, "north", "south", 1), "Kabar-Webhook/1", "not an event"},
		"something else again": {"id1", now, sign(now), "[]", "Kabar-Webhook/1", "not an event"},
	} {
		t.Run(name, func(t *testing.T) {
			h, found, _ := testHook(t)
			h.key, h.faulty = key, false
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url(), strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range map[string]string{
				"Content-Type": "application/json", "User-Agent": c.agent, "Resource-Owner": "north",
				"webhook-id": c.id, "webhook-timestamp": c.stamp, "webhook-signature": c.signature,
			} {
				r.Header.Set(k, v)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			text := strings.Join(found.examples, "\n")
			if c.want == "" && strings.Contains(text, "cannot take") || !strings.Contains(text, c.want) {
				t.Errorf("found %q, want %q", text, c.want)
			}
		})
	}
}

// TestFailures: a hook fails in each way, is down and comes back.
func TestFailures(t *testing.T) {
	for n := range failures {
		t.Run(failures[n].name, func(t *testing.T) {
			h, _, _ := testHook(t)
			h.hurry.Store(failures[n].long) // or it would be just that
			h.mu.Lock()
			re, before := failures[n].make(h), h.server
			h.mu.Unlock()
			server := httptest.NewServer(http.HandlerFunc(re.answer))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			if !re.fails || err == nil && resp.StatusCode < 300 {
				t.Errorf("it did not fail: %+v", resp)
			}
			for back := failures[n].name != "down"; !back && pause(t.Context(), time.Millisecond); {
				h.mu.Lock()
				back = h.server != before
				h.mu.Unlock()
			}
		})
	}
}
