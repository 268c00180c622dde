package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram's buckets are as wide as the 128th part of the power of two that
// they are in, so what is read out of them is wrong by half of that, 0.4 %.
const (
	halfBits    = 7
	half        = 1 << halfBits // buckets to a power of two
	bucketCount = (64 - halfBits) * half
)

// histogram counts durations in bounded memory. Many may add at once.
type histogram struct {
	counts [bucketCount]atomic.Uint64
	most   atomic.Int64
}

// bucketOf is exact below 256 ns, and logarithmic in steps above.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-halfBits-1, 0)
	return shift*half + int(v>>shift)
}

// middle is the duration that a bucket stands for.
func middle(bucket int) time.Duration {
	shift := max(bucket/half-1, 0)
	low := uint64(bucket-shift*half) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	for {
		most := h.most.Load()
		if int64(d) <= most || h.most.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

// counted is a histogram as it was at one moment.
type counted struct {
	counts [bucketCount]uint64
	total  uint64
	most   time.Duration
}

func (h *histogram) read() *counted {
	c := &counted{most: time.Duration(h.most.Load())}
	for i := range h.counts {
		c.counts[i] = h.counts[i].Load()
		c.total += c.counts[i]
	}
	return c
}

// since is what was added after an earlier moment.
func (c *counted) since(before *counted) *counted {
	d := &counted{most: c.most}
	for i := range c.counts {
		d.counts[i] = c.counts[i] - before.counts[i]
		d.total += d.counts[i]
	}
	return d
}

// at is the duration that the given part of all did not exceed, 0 where there
// are none.
func (c *counted) at(part float64) time.Duration {
	rank := max(uint64(part*float64(c.total)+0.999999), 1)
	seen := uint64(0)
	for i, n := range c.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(middle(i), c.most)
		}
	}
	return 0
}
