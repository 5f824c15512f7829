package proxy

import (
	"math/rand/v2"
	"slices"
	"time"
)

// balance chooses among endpoints: of the first priority that has healthy ones, or, when too few are healthy to trust the
// judgement, of all.
func (c *cluster) balance(members, tried []*endpoint) *endpoint {
	if len(members) == 1 && members[0].healthy(0) && !members[0].config.Down {
		return members[0]
	}
	var buf [16]*endpoint
	usable := c.usable(buf[:0], members)
	if len(usable) == 0 {
		return nil
	}
	if len(tried) > 0 {
		fresh := slices.DeleteFunc(slices.Clone(usable), func(e *endpoint) bool { return slices.Contains(tried, e) })
		if len(fresh) > 0 {
			usable = fresh
		}
	}
	if uneven(usable) {
		return weighted(usable)
	}
	switch c.config.Balancer {
	case LeastRequest:
		a, b := usable[rand.IntN(len(usable))], usable[rand.IntN(len(usable))]
		if b.busy.Load() < a.busy.Load() {
			return b
		}
		return a
	case Random:
		return usable[rand.IntN(len(usable))]
	}
	return usable[int(c.turn.Add(1)-1)%len(usable)]
}

// usable appends the endpoints of the first priority that has any.
func (c *cluster) usable(into, members []*endpoint) []*endpoint {
	now := time.Now().UnixNano()
	for priority, more := uint32(0), true; more; priority++ {
		more = false
		all, up := 0, into
		for _, e := range members {
			if e.config.Priority != priority {
				more = more || e.config.Priority > priority
				continue
			}
			if e.config.Down {
				continue
			}
			all++
			if e.healthy(now) {
				up = append(up, e)
			}
		}
		if o := c.config.Outlier; o != nil && o.MinHealthPercent > 0 && len(up)*100 < int(o.MinHealthPercent)*all {
			up = into
			for _, e := range members {
				if e.config.Priority == priority && !e.config.Down {
					up = append(up, e)
				}
			}
		}
		if len(up) > 0 {
			return up
		}
	}
	return nil
}

func uneven(es []*endpoint) bool {
	for _, e := range es {
		if e.config.Weight != es[0].config.Weight {
			return true
		}
	}
	return false
}

func weighted(es []*endpoint) *endpoint {
	total := uint64(0)
	for _, e := range es {
		total += uint64(max(e.config.Weight, 1))
	}
	at := rand.Uint64N(total)
	for _, e := range es {
		w := uint64(max(e.config.Weight, 1))
		if at < w {
			return e
		}
		at -= w
	}
	return es[0]
}

// chooseCluster picks one of weighted clusters.
func chooseCluster(cs []WeightedCluster) string {
	if len(cs) == 1 {
		return cs[0].Name
	}
	total := uint64(0)
	for _, c := range cs {
		total += uint64(c.Weight)
	}
	if total == 0 {
		return ""
	}
	at := rand.Uint64N(total)
	for _, c := range cs {
		if at < uint64(c.Weight) {
			return c.Name
		}
		at -= uint64(c.Weight)
	}
	return ""
}
