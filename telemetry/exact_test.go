package telemetry

import (
	"cmp"
	"context"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/oarlock/oarlock/metrics"
)

// newStore opens a store in a folder of its own.
func newStore(t testing.TB, opt Options) *Store {
	t.Helper()
	if opt.Folder == "" {
		opt.Folder = t.TempDir()
	}
	opt.Timeout = cmp.Or(opt.Timeout, time.Minute)
	if opt.Dial == nil {
		opt.Dial = func(context.Context, Target) (net.Conn, error) { return nil, context.Canceled }
	}
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// load writes series in Prometheus' notation, such as `up{job="a"} 1x3 stale _ 1`, a value for each second from start on.
func load(t testing.TB, s *Store, start time.Time, text string) {
	t.Helper()
	a := s.folder.Appender(t.Context())
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		labels, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(line)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			if v.Omitted {
				continue
			}
			if _, err := a.Append(0, labels, start.Add(time.Duration(i)*time.Second).UnixMilli(), v.Value); err != nil {
				a.Rollback()
				t.Fatal(err)
			}
		}
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
}

// seriesOf gives one request series, of a target.
func seriesOf(instance, more string) string {
	return `istio_requests_total{job="oarlock",instance="` + instance + `",reporter="destination",source_workload="web",source_workload_namespace="shop",` +
		`destination_workload="api",destination_workload_namespace="shop",destination_service="api.shop",request_protocol="http",` +
		`connection_security_policy="mutual_tls",response_code="200"` + more + `} `
}

// start is so that a window of a minute, from 60 to 120 seconds after it, ends in the past.
func start() time.Time { return time.Now().Add(-130 * time.Second).Truncate(time.Second) }

// beginning gives process_start_time_seconds of a process that began so many seconds after start.
func beginning(from time.Time, second float64) string {
	return " " + seconds(time.Duration((float64(from.Unix())+second)*float64(time.Second)))
}

func TestExact(t *testing.T) {
	up := `up{job="oarlock",instance="a"} `
	began := `process_start_time_seconds{job="oarlock",instance="a"}`
	for _, c := range []struct {
		name   string
		series func(from time.Time) string
		want   float64 // requests in the window
	}{
		{"steady", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "100+1x130"
		}, 60},
		{"once, on a counter that is there", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "5x80 6x50"
		}, 1},
		{"once, on a counter that is born", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "_x80 1x50"
		}, 1},
		{"once, seen by the last scrape alone", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "_x120 1x8"
		}, 1},
		{"before the window", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "_x50 1x80"
		}, 0},
		{"after the window", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x130\n" + seriesOf("a", "") + "5x120 6x9"
		}, 0},
		{"the store begins late", func(f time.Time) string {
			return up + "_x90 1x40\n" + began + " _x90" + beginning(f, -1000) + "x40\n" + seriesOf("a", "") + "_x90 100000+1x39"
		}, 30},
		{"the store begins late, of a target that tells nothing of itself", func(f time.Time) string {
			return seriesOf("a", "") + "_x90 100000+1x39"
		}, 30},
		{"of a target that tells nothing of itself, all the time", func(f time.Time) string {
			return seriesOf("a", "") + "100000+1x130"
		}, 60},
		{"the store begins late, and then a counter is born", func(f time.Time) string {
			return up + "_x70 1x60\n" + began + " _x70" + beginning(f, -1000) + "x60\n" + seriesOf("a", "") + "_x90 2x40"
		}, 2},
		{"the target is new", func(f time.Time) string {
			return up + "_x80 1x50\n" + began + " _x80" + beginning(f, 79) + "x50\n" + seriesOf("a", "") + "_x80 3x50"
		}, 3},
		{"the target is a new Envoy", func(f time.Time) string {
			return up + "_x80 1x50\nenvoy_server_uptime{job=\"oarlock\",instance=\"a\"} _x80 1+1x50\n" + seriesOf("a", "") + "_x80 3x50"
		}, 3},
		{"the target began again, and counts less", func(f time.Time) string {
			return up + "1x80 0x3 1x50\n" + began + beginning(f, -1000) + "x79 stale _x3" + beginning(f, 82) + "x50\n" +
				seriesOf("a", "") + "100x70 107x9 stale _x3 0+1x10 10x40"
		}, 7 + 10},
		{"the target began again, and counts more", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x79" + beginning(f, 80) + "x50\n" +
				seriesOf("a", "") + "2x70 4x9 50x49"
		}, 2 + 50},
		{"the target began again, and counts as much: once", func(f time.Time) string {
			return up + "1x80 0x3 1x50\n" + began + beginning(f, -1000) + "x79 stale _x3" + beginning(f, 82) + "x50\n" +
				seriesOf("a", "") + "1x79 stale _x20 1x30"
		}, 1},
		{"the target began again, and the series did not come back", func(f time.Time) string {
			return up + "1x130\n" + began + beginning(f, -1000) + "x79" + beginning(f, 80) + "x50\n" + seriesOf("a", "") + "100000x79 stale"
		}, 0},
		{"an Envoy began again", func(f time.Time) string {
			return up + "1x130\nenvoy_server_uptime{job=\"oarlock\",instance=\"a\"} 1000+1x79 1+1x50\n" + seriesOf("a", "") + "1x79 stale _x20 2x30"
		}, 2},
		{"a counter fell, of a target that tells nothing of itself", func(f time.Time) string {
			return up + "1x130\n" + seriesOf("a", "") + "100x79 3x50"
		}, 3},
		{"the target vanishes", func(f time.Time) string {
			return up + "1x80 stale\n" + began + beginning(f, -1000) + "x80 stale\n" + seriesOf("a", "") + "100x70 104x9 stale"
		}, 4},
		{"the target vanished before", func(f time.Time) string {
			return up + "1x55 stale\n" + began + beginning(f, -1000) + "x55 stale\n" + seriesOf("a", "") + "100+1x55 stale"
		}, 0},
		{"a target comes and goes", func(f time.Time) string {
			return up + "_x70 1x20 stale\n" + began + " _x70" + beginning(f, 69) + "x20 stale\n" + seriesOf("a", "") + "_x75 1x14 stale"
		}, 1},
		{"a scrape failed as the window began", func(f time.Time) string {
			return up + "1x58 0x4 1x70\n" + began + beginning(f, -1000) + "x57 stale _x3" + beginning(f, -1000) + "x70\n" +
				seriesOf("a", "") + "100x57 stale _x3 101x70"
		}, 1},
		{"nobody looked for long before the window began", func(f time.Time) string {
			return up + "1x10 _x55 1x70\n" + began + beginning(f, -1000) + "x10 _x55" + beginning(f, -1000) + "x70\n" +
				seriesOf("a", "") + "100x10 _x55 5000+1x70"
		}, 54},
	} {
		for _, how := range []string{"by differences", "one by one"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				s, from := newStore(t, Options{}), start()
				if how == "by differences" {
					s.reader = nil
				}
				load(t, s, from, c.series(from))
				o, err := s.Flows(t.Context(), metrics.Window{End: from.Add(120 * time.Second), Length: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				var got float64
				for _, f := range o.Flows {
					got += f.Requests * 60
				}
				if math.Abs(got-c.want) > 1e-6 {
					t.Errorf("%v requests, want %v: %+v", got, c.want, o.Flows)
				}
			})
		}
	}
}
