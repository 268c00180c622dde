package hub_test

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kabar-io/kabar/internal/hub"
)

// A topic is occupied by clients: what the server itself hears does not count,
// and who asks late is told of those that are.
func TestWhoOccupiesATopic(t *testing.T) {
	var mu sync.Mutex
	here := map[string]bool{}
	told := func(topic string, is bool) {
		mu.Lock()
		defer mu.Unlock()
		if here[topic] = is; !is {
			delete(here, topic)
		}
	}
	h, _ := setup(t, hub.Options{Occupied: told, Linger: time.Millisecond})
	are := func(want ...string) {
		t.Helper()
		eventually(t, "occupied", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(slices.Sorted(maps.Keys(here)), want)
		})
		late := map[string]bool{}
		h.EachOccupied(func(topic string) {
			mu.Lock()
			defer mu.Unlock()
			late[topic] = true
		})
		eventually(t, "told late", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(slices.Sorted(maps.Keys(late)), want)
		})
	}
	cursor, err := h.Cursor(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	client := &hub.Session{Topic: "b"}
	join(t, h, client, hub.Now())
	beside := &hub.Session{Topic: "c", Inside: hub.Beside}
	join(t, h, beside, hub.Now())
	own := &hub.Session{Topic: "b", Inside: hub.Own}
	join(t, h, own, hub.Now())
	if n := h.Stats().Sessions; n != 1 {
		t.Errorf("%d clients", n)
	}
	if all := h.Sessions(); len(all) != 1 || all[0] != client || client.Left() {
		t.Errorf("the clients' sessions are %v", all)
	}
	are("b", "c")
	second := &hub.Session{Topic: "a"}
	join(t, h, second, hub.Now())
	are("a", "b", "c")
	h.Unsubscribe(client)
	h.Unsubscribe(second)
	are("c")
	if since := time.Since(h.Opened(client)); since < -time.Second || since > time.Hour {
		t.Errorf("opened %v ago", since)
	}
	cursor.Close()
	h.Unsubscribe(own)
	h.Unsubscribe(beside)
	are()
}
