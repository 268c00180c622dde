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
		if _, fresh, _, ok := c.offer(1, 100+i, now); !ok || !fresh {
			t.Fatalf("the %dth is refused", i)
		}
	}
	if _, _, _, ok := c.offer(1, 99, now); ok {
		t.Error("somebody calls too many")
	}
	if _, _, _, ok := c.offer(99, 1, now); ok {
		t.Error("somebody is called by too many")
	}
	if _, fresh, _, ok := c.offer(1, 100, now); !ok || fresh {
		t.Error("a call that goes on is refused, or new")
	}
	if _, _, _, ok := c.offer(98, 99, now); !ok {
		t.Error("others cannot call each other")
	}
	if _, ok := c.end(100, 1, ""); !ok {
		t.Error("a call cannot be ended by who was called")
	}
	if _, _, _, ok := c.offer(1, 99, now); !ok {
		t.Error("a place that is given back is not free")
	}
}

func TestCallsEndWithTheLastSocket(t *testing.T) {
	c := newCalls()
	c.come(1)
	c.come(1)
	c.come(2)
	key, _, _, _ := c.offer(1, 2, now)
	c.offer(3, 1, now)
	if got, ok := c.goOn(2, 1, key, true, now.Add(time.Second)); !ok || got != key {
		t.Fatal("it cannot be answered")
	}
	if ended := c.leave(1); ended != nil {
		t.Fatalf("%+v ended with a socket that was not the last", ended)
	}
	ended := c.leave(1)
	if len(ended) != 2 || ended[0].key != key || ended[0].seconds(now.Add(91*time.Second)) != 90 || ended[1].seconds(now) != 0 {
		t.Fatalf("%+v ended", ended)
	}
	if _, ok := c.goOn(2, 1, key, false, now); ok {
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
	key, _, _, _ := c.offer(1, 2, now)
	c.goOn(1, 2, key, true, now)
	if over, _ := c.end(1, 2, key); over.seconds(now.Add(time.Minute)) != 0 {
		t.Error("the caller's own answer began it")
	}
	key, _, _, _ = c.offer(1, 2, now)
	c.goOn(2, 1, "", true, now)
	c.goOn(2, 1, key, true, now.Add(time.Minute)) // of a second offer
	if over, _ := c.end(1, 2, key); over.seconds(now.Add(2*time.Minute)) != 120 {
		t.Error("a second answer began it again")
	}
	if c := (&call{answered: now}); c.seconds(now) != 1 {
		t.Error("who talked for a moment did not talk")
	}
}

func TestARingThatNobodyAnswersGoesOver(t *testing.T) {
	c := newCalls()
	first, _, _, _ := c.offer(1, 2, now)
	if key, fresh, stale, _ := c.offer(2, 1, now.Add(ringsLong)); key != first || fresh || stale != nil {
		t.Error("it is over too soon")
	}
	key, fresh, stale, ok := c.offer(2, 1, now.Add(ringsLong+1))
	if !ok || key == first || !fresh || stale == nil || stale.key != first || stale.from != 1 {
		t.Errorf("%s, %v, %+v", key, fresh, stale)
	}
	c.goOn(1, 2, key, true, now)
	if again, _, stale, _ := c.offer(1, 2, now.Add(time.Hour)); again != key || stale != nil {
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
			key, _, _, _ := c.offer(a, b, now)
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
