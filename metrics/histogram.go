package metrics

import "time"

// The boundaries of Istio's histograms are Envoy's default ones, for milliseconds and bytes alike.
var boundaries = [...]float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000,
	1800000, 3600000}

// durationBounds are boundaries in nanoseconds, sizeBounds in bytes.
var (
	durationBounds = scaled(int64(time.Millisecond))
	sizeBounds     = scaled(1)
)

func scaled(unit int64) []int64 {
	b := make([]int64, len(boundaries))
	for i, v := range boundaries {
		b[i] = int64(v * float64(unit)) // half a byte is none
	}
	return b
}

// histogram counts whole numbers into buckets, and sums them up. Its total is the sum of the buckets.
type histogram struct {
	buckets [len(boundaries) + 1]Counter
	sum     Counter
}

// observe counts a value that is not negative, by boundaries in the unit that the histogram counts in.
func (h *histogram) observe(v int64, b []int64) {
	lo, hi := 0, len(b)
	for lo < hi {
		if mid := (lo + hi) / 2; v <= b[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	h.buckets[lo].Inc()
	if v != 0 {
		h.sum.Add(uint64(v))
	}
}

// count is how many values were seen.
func (h *histogram) count() uint64 {
	var n uint64
	for i := range h.buckets {
		n += h.buckets[i].Value()
	}
	return n
}
