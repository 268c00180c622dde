package relay

import (
	"sync"
	"testing"
	"time"
)

var now = time.Unix(1e9, 0)

func TestCallsAreBounded(t *testing.T) {
	c := newCalls()
	for i := range uint64(maxCalls) {
		if _, fresh, _, ok := c.offer(1, 100+i, 11, now); !ok || !fresh {
			t.Fatalf("the %dth is refused", i)
		}
	}
	if _, _, _, ok := c.offer(1, 99, 11, now); ok {
		t.Error("somebody calls too many")
	}
	if _, _, _, ok := c.offer(99, 1, 991, now); ok {
		t.Error("somebody is called by too many")
	}
	if _, fresh, _, ok := c.offer(1, 100, 11, now); !ok || fresh {
		t.Error("a call that goes on is refused, or new")
	}
	if _, _, _, ok := c.offer(98, 99, 981, now); !ok {
		t.Error("others cannot call each other")
	}
	if _, ok := c.end(100, 1, 1001, ""); !ok {
		t.Error("a call cannot be ended by who was called")
	}
	if _, _, _, ok := c.offer(1, 99, 11, now); !ok {
		t.Error("a place that is given back is not free")
	}
}

func TestCallsEndWithTheLastSocket(t *testing.T) {
	c := newCalls()
	c.come(1)
	c.come(1)
	c.come(2)
	key, _, _, _ := c.offer(1, 2, 11, now)
	c.offer(3, 1, 31, now)
	if got, ok := c.goOn(2, 1, 21, key, true, now.Add(time.Second)); !ok || got != key {
		t.Fatal("it cannot be answered")
	}
	if ended := c.leave(1); ended != nil {
		t.Fatalf("%+v ended with a socket that was not the last", ended)
	}
	ended := c.leave(1)
	if len(ended) != 2 || ended[0].key != key || ended[0].seconds(now.Add(91*time.Second)) != 90 || ended[1].seconds(now) != 0 {
		t.Fatalf("%+v ended", ended)
	}
	if _, ok := c.goOn(2, 1, 21, key, false, now); ok {
		t.Error("it goes on")
	}
	if ended := c.leave(2); ended != nil {
		t.Errorf("%+v ended again", ended)
	}
	if len(c.here) != 0 || len(c.of) != 0 {
		t.Errorf("left over: %v, %v", c.here, c.of)
	}
}

func TestTalkingBeginsWithTheAnswerOfWhoWasCalled(t *testing.T) {
	c := newCalls()
	key, _, _, _ := c.offer(1, 2, 11, now)
	c.goOn(1, 2, 11, key, true, now)
	if over, _ := c.end(1, 2, 11, key); over.seconds(now.Add(time.Minute)) != 0 {
		t.Error("the caller's own answer began it")
	}
	key, _, _, _ = c.offer(1, 2, 11, now)
	c.goOn(2, 1, 21, "", true, now)
	c.goOn(2, 1, 21, key, true, now.Add(time.Minute)) // of a second offer
	if over, _ := c.end(1, 2, 11, key); over.seconds(now.Add(2*time.Minute)) != 120 {
		t.Error("a second answer began it again")
	}
	if c := (&call{answered: now}); c.seconds(now) != 1 {
		t.Error("who talked for a moment did not talk")
	}
}

func TestARingThatNobodyAnswersGoesOver(t *testing.T) {
	c := newCalls()
	first, _, _, _ := c.offer(1, 2, 11, now)
	if key, fresh, stale, _ := c.offer(2, 1, 21, now.Add(ringsLong)); key != first || fresh || stale != nil {
		t.Error("it is over too soon")
	}
	key, fresh, stale, ok := c.offer(2, 1, 21, now.Add(ringsLong+1))
	if !ok || key == first || !fresh || len(stale) != 1 || stale[0].key != first || stale[0].from != 1 {
		t.Errorf("%s, %v, %+v", key, fresh, stale)
	}
	c.goOn(1, 2, 11, key, true, now)
	if again, _, stale, _ := c.offer(1, 2, 11, now.Add(time.Hour)); again != key || stale != nil {
		t.Error("a long talk is taken for a ring")
	}
}

func TestCallsAtOnce(t *testing.T) {
	c := newCalls()
	keys := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			a, b := uint64(1), uint64(2)
			if i%2 == 0 {
				a, b = b, a
			}
			key, _, _, _ := c.offer(a, b, 0, now)
			mu.Lock()
			defer mu.Unlock()
			keys[key] = true
		})
	}
	wg.Wait()
	if len(keys) != 1 {
		t.Errorf("two people have %d calls", len(keys))
	}
}

// TestStaleRingsTakeNoPlace: who rang and was never answered keeps nobody from
// calling, or from being called.
func TestStaleRingsTakeNoPlace(t *testing.T) {
	c := newCalls()
	keys := map[string]bool{}
	for i := range uint64(maxCalls) {
		key, _, _, _ := c.offer(100+i, 1, 0, now)
		keys[key] = i > 0
	}
	c.goOn(1, 100, 11, "", true, now) // they talk
	if _, _, stale, ok := c.offer(1, 50, 11, now.Add(ringsLong)); ok || stale != nil {
		t.Errorf("too soon: %v, %+v", ok, stale)
	}
	_, _, stale, ok := c.offer(50, 1, 501, now.Add(ringsLong+1))
	if !ok || len(stale) != maxCalls-1 {
		t.Errorf("later: %v, %d are over", ok, len(stale))
	}
	for _, over := range stale {
		if !keys[over.key] || over.to != 1 || over.seconds(now) != 0 {
			t.Errorf("over is %+v", over)
		}
		delete(keys, over.key)
	}
	if len(c.of[1]) != 2 || len(c.of[101]) != 0 || len(c.of[100]) != 1 {
		t.Errorf("left: %v", c.of)
	}
	for i := range uint64(maxCalls) {
		c.offer(60, 200+i, 0, now)
	}
	if _, _, stale, ok := c.offer(1, 60, 11, now.Add(time.Hour)); !ok || len(stale) != maxCalls+1 { // those of who is called too
		t.Errorf("a day later: %v, %d are over", ok, len(stale))
	}
}

func TestACallIsWhereItWasAnswered(t *testing.T) {
	c := newCalls()
	key, _, _, _ := c.offer(1, 2, 11, now)
	c.goOn(2, 1, 21, key, true, now)
	c.goOn(2, 1, 22, key, true, now) // another device, a moment too late
	if _, ok := c.end(2, 1, 22, key); ok {
		t.Error("it is ended where it only rang")
	}
	c.offer(2, 1, 22, now)
	if _, ok := c.end(2, 1, 21, ""); ok {
		t.Error("it is ended where it was")
	}
	if _, ok := c.end(2, 1, 22, ""); !ok {
		t.Error("it cannot be ended where it is")
	}
	for _, by := range [][3]uint64{{1, 2, 11}, {1, 2, 12}, {2, 1, 0}} {
		c.offer(1, 2, 11, now)
		c.goOn(2, 1, 21, "", true, now)
		if _, ok := c.end(by[0], by[1], by[2], ""); !ok {
			t.Errorf("%v cannot end it", by)
		}
	}
	c.offer(1, 2, 11, now)
	if _, ok := c.end(2, 1, 22, ""); !ok {
		t.Error("what rings cannot be rejected everywhere")
	}
}
