package metrics

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flowsOf gives the page with no more than flows are made of.
func flowsOf(t testing.TB, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/stats/prometheus?"+OnlyFlows, nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("scrape: %d %v %s", w.Code, w.Header(), w.Body)
	}
	return w.Body.String()
}

// TestFlowsPage holds that the page has a part of the whole one, as that has it.
func TestFlowsPage(t *testing.T) {
	r := full()
	all := slices.Collect(strings.Lines(scrape(t, r)))
	var names []string
	for l := range strings.Lines(flowsOf(t, r)) {
		if !slices.Contains(all, l) {
			t.Errorf("only the smaller page has %s", l)
		}
		if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	want := []string{"istio_build", "istio_request_duration_milliseconds", "istio_requests_total", "istio_tcp_connections_opened_total",
		"istio_tcp_received_bytes_total", "istio_tcp_sent_bytes_total", "oarlock_build_info", "oarlock_handshake_failures_total",
		"oarlock_requests_total", "oarlock_tcp_connections_opened_total", "process_start_time_seconds"}
	if !slices.Equal(names, want) {
		t.Errorf("it has %q", names)
	}
}

// TestFlowsPageIsNew holds that the page is written anew for all that can change it, and for nothing else.
func TestFlowsPageIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(api, Options{Idle: time.Hour})
		l := Labels{Reporter: Destination, Source: web, Protocol: "http", Code: 200}
		var q *Request
		var c *Connection
		for _, step := range []struct {
			name string
			do   func()
		}{
			{"new labels of requests", func() { q = r.Request(l) }},
			{"a request", func() { q.Observe(time.Millisecond, 1, 1) }},
			{"another", func() { q.Observe(time.Millisecond, 1, 1) }},
			{"new labels of connections", func() { c = r.Connection(l) }},
			{"a connection", func() { c = c.Open() }},
			{"bytes", func() { c.Received(5) }},
			{"bytes back", func() { c.Sent(5) }},
			{"a failure", func() { r.Failure(Failure{Cause: CauseTimeout}) }},
			{"the same again", func() { r.Failure(Failure{Cause: CauseTimeout}) }},
			{"all but the open connection are idle for long", func() { time.Sleep(2 * time.Hour) }},
			{"the connection too", func() { c.Close(); flowsOf(t, r); flowsOf(t, r); time.Sleep(2 * time.Hour) }},
			{"somebody held it", func() { c.Open() }},
		} {
			before := flowsOf(t, r)
			again, err := r.flows()
			if err != nil {
				t.Fatal(err)
			}
			r.XDS(func() XDSStatus { return XDSStatus{} })
			r.Listener("l").Handshake(0x0304, 0x1301, false, true)
			scrape(t, r) // another scraper takes nothing away
			if same, _ := r.flows(); &same[0] != &again[0] {
				t.Errorf("before %s it was written anew", step.name)
			}
			step.do()
			scrape(t, r)
			if after := flowsOf(t, r); after == before {
				t.Errorf("after %s it is as before:\n%s", step.name, after)
			}
		}
	})
}

// TestFlowsPageMissesNothing holds that whatever was counted before a page was asked for is on it, while others ask.
func TestFlowsPageMissesNothing(t *testing.T) {
	r := NewRegistry(api, Options{})
	q := r.Request(Labels{Reporter: Destination, Source: web, Protocol: "http", Code: 200})
	c := r.Connection(Labels{Reporter: Destination, Source: web, Protocol: "tcp"}).Open()
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i := range 3 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if i == 0 {
					scrape(t, r)
				} else {
					flowsOf(t, r)
				}
			}
		})
	}
	for n := 1; n <= 1000 && !t.Failed(); n++ {
		q.Observe(time.Millisecond, 1, 1)
		c.Sent(1)
		text := flowsOf(t, r)
		wantLine(t, text, strconv.Itoa(n), "istio_requests_total", "reporter=destination")
		wantLine(t, text, strconv.Itoa(n), "oarlock_requests_total", "reporter=destination")
		wantLine(t, text, strconv.Itoa(n), "istio_tcp_sent_bytes_total", "reporter=destination")
	}
	close(done)
	wait.Wait()
}
