package demoapp

import (
	"encoding/json"
	"maps"
	"sync"
)

// Stats is what an application has counted since its start.
type Stats struct {
	Service string `json:"service"`
	Version string `json:"version"`
	Pod     string `json:"pod"`
	// Received is what came in, by listener ("http:8080"); Sent what went out, by target as it was written.
	Received map[string]Count `json:"received"`
	Sent     map[string]Count `json:"sent"`
}

// Count is one line of Stats. A request that is still under way is in none of the numbers.
type Count struct {
	OK     int64 `json:"ok"`
	Failed int64 `json:"failed"` // answered with 400 or more, or not at all; what was received: with 500 or more
	// Skipped are calls that were due and not made, because too many were under way.
	Skipped int64 `json:"skipped,omitempty"`
	// Results counts by outcome: a status of HTTP or gRPC, "echo", or "error" where there was no answer.
	Results map[string]int64 `json:"results,omitempty"`
}

// counters collect Stats. Their keys are listeners, targets and statuses, so they are bounded.
type counters struct {
	mu       sync.Mutex
	received map[string]*Count
	sent     map[string]*Count
}

func newCounters(c *Config) *counters {
	out := &counters{received: map[string]*Count{}, sent: map[string]*Count{}}
	for _, l := range c.Listens {
		out.received[l.String()] = &Count{Results: map[string]int64{}}
	}
	for _, t := range c.Calls {
		out.sent[t.String()] = &Count{Results: map[string]int64{}}
	}
	return out
}

func (c *counters) count(in map[string]*Count, key, result string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := in[key]
	e.Results[result]++
	if ok {
		e.OK++
	} else {
		e.Failed++
	}
}

func (c *counters) receive(l Listen, result string, ok bool) {
	c.count(c.received, l.String(), result, ok)
}

func (c *counters) send(t Target, result string, ok bool) { c.count(c.sent, t.String(), result, ok) }

func (c *counters) skip(t Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[t.String()].Skipped++
}

// snapshot copies what was counted.
func (c *counters) snapshot(cfg *Config) Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := Stats{Service: cfg.Service, Version: cfg.Version, Pod: cfg.Pod, Received: map[string]Count{}, Sent: map[string]Count{}}
	for k, v := range c.received {
		out.Received[k] = v.clone()
	}
	for k, v := range c.sent {
		out.Sent[k] = v.clone()
	}
	return out
}

func (c *Count) clone() Count {
	out := *c
	out.Results = maps.Clone(c.Results)
	return out
}

// String gives the stats as one line of JSON.
func (s Stats) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return "{}" // numbers and text alone: this does not happen
	}
	return string(b)
}
