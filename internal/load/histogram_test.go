package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPercentilesAreWithinOnePercentOfTheExactOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"nanoseconds": func() time.Duration { return time.Duration(random.IntN(300)) },
		"even":        func() time.Duration { return time.Duration(random.Int64N(int64(time.Second))) },
		"lognormal":   func() time.Duration { return time.Duration(math.Exp(13 + 2*random.NormFloat64())) },
		"two humps": func() time.Duration {
			return []time.Duration{200 * time.Microsecond, 3 * time.Second}[random.IntN(2)] + time.Duration(random.IntN(1000))
		},
		"always the same": func() time.Duration { return 1234567 },
	} {
		var h histogram
		all := make([]time.Duration, 20_001)
		for i := range all {
			all[i] = draw()
			h.add(all[i])
		}
		slices.Sort(all)
		c := h.read()
		if c.most != all[len(all)-1] || c.total != uint64(len(all)) {
			t.Errorf("%s: %d, the most %v", name, c.total, c.most)
		}
		for _, part := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := all[max(int(math.Ceil(part*float64(len(all)))), 1)-1]
			if got := c.at(part); math.Abs(float64(got-exact)) > 0.01*float64(exact) {
				t.Errorf("%s: at %v it says %v, and it is %v", name, part, got, exact)
			}
		}
	}
}

func TestHistogramHoldsEverything(t *testing.T) {
	var h histogram
	if got := h.read().at(0.5); got != 0 {
		t.Errorf("of nothing half is %v", got)
	}
	for _, d := range []time.Duration{-1, 0, 1, 255, 256, 257, math.MaxInt64} {
		h.add(d)
	}
	if c := h.read(); c.total != 7 || c.at(1) < math.MaxInt64/128*127 || c.at(0.01) != 0 {
		t.Errorf("%d, from %v to %v", c.total, c.at(0.01), c.at(1))
	}
	before := 0
	for v := range 1 << 20 {
		b := bucketOf(time.Duration(v))
		if b < before || b > before+1 {
			t.Fatalf("%d is in bucket %d, and what is one less in %d", v, b, before)
		}
		before = b
	}
}

func TestSinceIsTheDifference(t *testing.T) {
	var h histogram
	h.add(time.Second)
	before := h.read()
	h.add(time.Millisecond)
	d := h.read().since(before)
	if d.total != 1 || d.at(0.5).Round(10*time.Microsecond) != time.Millisecond {
		t.Errorf("%d, %v", d.total, d.at(0.5))
	}
}
