package main

import (
	"math"
	"os"
	"strings"
)

// A sparkline is a line of bars, one for each point of a trend. On a terminal that may not show Unicode it is drawn with
// ASCII; a pipe gets numbers and no bars.

// The bars, from nothing to the most. A gap is a point at which nothing is known.
var (
	blockBars = []rune("▁▂▃▄▅▆▇█")
	asciiBars = []rune("_.-=+*%#")
)

const gapBar = ' '

// sparkline draws values between 0 and top, at most so many bars wide; nil is not known. top 0 takes the greatest value.
func sparkline(values []*float64, top float64, width int, bars []rune) string {
	values = squeeze(values, width)
	if top == 0 {
		for _, v := range values {
			if v != nil {
				top = max(top, *v)
			}
		}
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case v == nil:
			b.WriteRune(gapBar)
		case top == 0 || *v <= 0:
			b.WriteRune(bars[0])
		default:
			// Only the top itself is a whole bar, and what is not nothing is more than the least.
			i := int(math.Floor(*v / top * float64(len(bars)-1)))
			b.WriteRune(bars[min(max(i, 1), len(bars)-1)])
		}
	}
	return b.String()
}

// squeeze takes the means of neighbours, so that at most so many values are left.
func squeeze(values []*float64, width int) []*float64 {
	if width <= 0 || len(values) <= width {
		return values
	}
	out := make([]*float64, width)
	for i := range out {
		from, to := i*len(values)/width, (i+1)*len(values)/width
		sum, n := 0.0, 0
		for _, v := range values[from:to] {
			if v != nil {
				sum, n = sum+*v, n+1
			}
		}
		if n > 0 {
			mean := sum / float64(n)
			out[i] = &mean
		}
	}
	return out
}

// bars are those that the terminal can show; nil where there is no terminal.
func (a *app) bars() []rune {
	if a.width == 0 {
		return nil
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			if v = strings.ToLower(v); strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				return blockBars
			}
			break
		}
	}
	return asciiBars
}

// span gives the last value that is known, the least and the greatest; false where none is.
func span(values []*float64) (last, least, greatest float64, ok bool) {
	for _, v := range values {
		switch {
		case v == nil:
			continue
		case !ok:
			least, greatest, ok = *v, *v, true
		}
		last, least, greatest = *v, min(least, *v), max(greatest, *v)
	}
	return last, least, greatest, ok
}
