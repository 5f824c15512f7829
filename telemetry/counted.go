package telemetry

import (
	"math"
	"slices"
)

// target is what is known of one whose samples are counted one by one.
type target struct {
	known bool  // it had been scraped when the window began
	since int64 // its first good scrape in the window, 0 for none
	lives []life
}

// life is what a scrape said of the target's beginning.
type life struct {
	at    int64   // of the scrape
	began float64 // Unix time in seconds
	nth   int     // of the target's lives seen so far
}

// addLives takes the samples of process_start_time_seconds, or of envoy_server_uptime, which falls when a life ends.
func (o *target) addLives(points []point, uptime bool) {
	if len(o.lives) > 0 {
		return
	}
	for i, p := range points {
		l := life{at: p.at, began: p.value}
		if i > 0 {
			l.nth = o.lives[len(o.lives)-1].nth
			before := points[i-1].value
			if !uptime && p.value == before {
				continue // nothing new
			}
			if !uptime || p.value < before {
				l.nth++
			}
		}
		if uptime {
			l.began = float64(p.at)/1000 - p.value
		}
		o.lives = append(o.lives, l)
	}
}

// addScrapes takes the samples of up, for a window that begins at start.
func (o *target) addScrapes(points []point, start int64) {
	for _, p := range points {
		if p.value == 1 {
			o.known = o.known || p.at <= start
			o.since = p.at
			return
		}
	}
}

// oneLife says that nothing is known of another beginning.
func (o *target) oneLife() bool { return len(o.lives) == 0 || o.lives[len(o.lives)-1].nth == 0 }

// life gives what was known of the target at a time, by its last scrape until then.
func (o *target) life(at int64) life {
	i, found := slices.BinarySearchFunc(o.lives, at, func(l life, at int64) int { return int(l.at - at) })
	if !found {
		i--
	}
	if i < 0 {
		return life{began: math.Inf(-1)}
	}
	return o.lives[i]
}

// counted gives what a counter counted after start, in milliseconds, of samples that begin some time before it.
func (o *target) counted(points []point, start int64) float64 {
	var sum float64
	var last *point
	for i := range points {
		p := &points[i]
		if p.at > start {
			sum += o.step(last, p, start)
		}
		last = p
	}
	return sum
}

// step gives what was counted between two samples, the first of which may not be there.
func (o *target) step(from, to *point, start int64) float64 {
	if from != nil && o.oneLife() {
		if to.value < from.value {
			return to.value
		}
		return to.value - from.value
	}
	now := o.life(to.at)
	switch {
	case from == nil && (o.known || o.since != 0 && o.since < to.at || now.began*1000 > float64(start)):
		return to.value // it began to count in the window
	case from == nil:
		return 0 // who knows since when
	case to.value < from.value || now.nth != o.life(from.at).nth:
		return to.value // again from zero
	}
	return to.value - from.value
}
