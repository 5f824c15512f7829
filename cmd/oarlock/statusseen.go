package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"golang.org/x/sync/errgroup"
)

// statusDocument is the answer of status in JSON and YAML.
type statusDocument struct {
	*api.Status
	Observed  *statusSeen `json:"observed,omitempty"`
	Dashboard string      `json:"dashboard,omitempty"` // without its token
	opener    string      // the command that opens the dashboard
}

// statusSeen is what a mesh saw of its traffic.
type statusSeen struct {
	Locks    *api.Locks `json:"locks,omitempty"`
	MTLS     *float64   `json:"mtls,omitempty"`  // share of what is known, 0 to 1
	Known    *float64   `json:"known,omitempty"` // share whose security is known
	Findings int        `json:"findings"`
	Store    *api.Store `json:"store,omitempty"`
	Trend    *api.Trend `json:"trend,omitempty"`
	Trouble  string     `json:"trouble,omitempty"` // why something is missing
}

// What status shows of the past.
const (
	trendWindow = 15 * time.Minute
	trendPoints = 30
)

// observed asks for what was seen; what is not answered in time is left out, and Trouble says why.
func (m *runningMesh) observed(ctx context.Context) *statusSeen {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	out := &statusSeen{}
	var trend *api.TrendAnswer
	var overview *api.Overview
	g := errgroup.Group{}
	g.Go(func() (err error) { overview, err = m.plane.Overview(ctx, 0); return err })
	g.Go(func() (err error) {
		trend, err = m.plane.Trend(ctx, api.TrendQuery{Window: trendWindow, Points: trendPoints})
		return err
	})
	if err := g.Wait(); err != nil {
		out.Trouble = err.Error()
	}
	if o := overview; o != nil {
		out.Locks, out.MTLS, out.Known, out.Findings, out.Store = &o.Locks, o.MTLS, o.Known, o.Findings, &o.Store
		if o.Trouble != "" {
			out.Trouble = o.Trouble
		}
	}
	if trend != nil && trend.Trouble == "" && len(trend.Times) > 0 {
		out.Trend = &trend.Trend
	}
	return out
}

// boardURL is where the mesh's dashboard is, "" where it has none. The token stays in its file: people show others what
// status says.
func (m *runningMesh) boardURL() string {
	b, err := readBoard(m.controlState())
	if err != nil {
		return ""
	}
	return b.URL
}

// controlState is the folder of the mesh's control plane.
func (m *runningMesh) controlState() string {
	if m.served != "" {
		return m.served
	}
	return filepath.Join(m.paths.State, "control")
}

// observed writes what a mesh saw. Nothing is written where nothing is known of the mesh's traffic, trouble apart.
func (w *statusWriter) observed(a *app, s *statusSeen) {
	if s == nil {
		return
	}
	if s.Locks != nil {
		w.line("edges", locksWord(s.Locks))
	}
	if s.MTLS != nil {
		var trend []*float64
		if s.Trend != nil {
			trend = s.Trend.MTLS
		}
		text := shareWord(*s.MTLS)
		if s.Known != nil && *s.Known < 0.995 {
			text += fmt.Sprintf(" (%s known)", shareWord(*s.Known))
		}
		w.bars(a, "mTLS", text, trend, 1)
	}
	if t := s.Trend; t != nil {
		w.rate(a, "requests", t.Requests)
		w.rate(a, "connections", t.Connections)
		w.rate(a, "errors", t.Errors)
		w.rate(a, "refused", t.Failures)
	}
	if s.Findings > 0 {
		w.line("findings", fmt.Sprintf("%d; oarlock edges shows where", s.Findings))
	}
	if s.Store != nil {
		w.line("store", storeWord(s.Store))
	}
	if s.Trouble != "" && (s.Store == nil || s.Trouble != s.Store.Problem) {
		w.line("observed", "nothing: "+s.Trouble)
	}
}

// rate writes a rate over time, if there is any.
func (w *statusWriter) rate(a *app, name string, values []*float64) {
	last, least, greatest, ok := span(values)
	if !ok || greatest == 0 {
		return
	}
	text := rateWord(last) + "/s"
	if least != greatest {
		text += fmt.Sprintf(" (%s to %s)", rateWord(least), rateWord(greatest))
	}
	w.bars(a, name, text, values, 0)
}

// barsAt is how far the bars stand from a line's text.
const barsAt = 24

// bars writes a line with a sparkline at its end, where there is a terminal and room.
func (w *statusWriter) bars(a *app, name, text string, values []*float64, top float64) {
	room := w.width - statusWidth - barsAt
	if shape := a.bars(); shape != nil && room >= 10 && len(text) < barsAt && len(values) > 0 {
		if line := strings.TrimRight(sparkline(values, top, room, shape), " "); line != "" {
			fmt.Fprintf(&w.b, "%-*s%-*s%s\n", statusWidth, name, barsAt, text, line)
			return
		}
	}
	w.line(name, text)
}

// locksWord counts edges by lock, those first that need attention.
func locksWord(l *api.Locks) string {
	var words []string
	for _, c := range []struct {
		n    int
		word string
	}{{l.Broken, "broken"}, {l.Open, "open"}, {l.Mixed, "mixed"}, {l.Unknown, "unknown"}, {l.Locked, "locked"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// storeWord says how the store of observations is.
func storeWord(s *api.Store) string {
	switch {
	case s.Kind == "none":
		return "none" + because(s.Problem)
	case !s.OK:
		return s.Kind + " is away" + because(s.Problem)
	}
	out := s.Kind
	if s.Kind == "prometheus" && s.Address != "" {
		out += " at " + s.Address
	}
	if s.Targets > 0 {
		out += fmt.Sprintf(", %d of %d sidecars answer", s.Up, s.Targets)
	}
	if s.Interval > 0 {
		out += fmt.Sprintf(", asked every %s", time.Duration(s.Interval*float64(time.Second)))
	}
	if s.Bytes > 0 {
		out += fmt.Sprintf(", %.1f MB", float64(s.Bytes)/1e6)
	}
	if s.Problem != "" {
		out += "; " + s.Problem
	}
	return out
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}
