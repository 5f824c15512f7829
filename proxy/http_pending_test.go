package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
)

// A gate is a server that answers one request for each that is let through.
type gate struct {
	at        netip.AddrPort
	came      chan string
	through   chan struct{}
	now, most atomic.Int64
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{came: make(chan string, 1000), through: make(chan struct{})}
	g.at = serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if n := g.now.Add(1); n > g.most.Load() {
			g.most.Store(n)
		}
		g.came <- r.URL.Path
		select {
		case <-g.through:
		case <-t.Context().Done():
		}
		g.now.Add(-1)
		if r.URL.Path == "/last" {
			w.Header().Set("Connection", "close")
		}
		io.WriteString(w, r.URL.Path)
	})
	return g
}

// send makes a request and gives where its response will be.
func (g *gate) send(t *testing.T, at netip.AddrPort, path string) chan string {
	got := make(chan string, 1)
	go func() { got <- raw(t, at, strings.Replace(simple, "GET /", "GET "+path, 1)) }()
	return got
}

// A limitedProxy is one proxy in front of a server, with limits. Requests for /late have little time.
type limitedProxy struct {
	at    netip.AddrPort
	logs  *meshtest.Buffer
	stats *metrics.Registry
}

func newLimited(t *testing.T, backend netip.AddrPort, limits proxy.Limits) *limitedProxy {
	t.Helper()
	cluster := static("api", backend, nil)
	cluster.Limits = limits
	m := &proxy.HTTPManager{Table: everywhere("api", nil), AccessLog: logged}
	host := m.Table.Hosts[0]
	late := *host.Routes[0]
	late.Match, late.Timeout = proxy.RouteMatch{Prefix: "/late"}, 200*time.Millisecond
	host.Routes = slices.Insert(host.Routes, 0, &late)
	out := &limitedProxy{at: freePort(t), stats: metrics.NewRegistry(proxy.Peer{}, metrics.Options{})}
	_, out.logs = start(t, proxy.Options{Series: out.stats}, &proxy.Config{Clusters: []*proxy.Cluster{cluster},
		Listeners: []*proxy.Listener{{Name: "out", Address: out.at, Bind: true, Chains: []*proxy.FilterChain{{HTTP: m}}}}})
	return out
}

// waiting returns when n requests wait for a connection.
func (p *limitedProxy) waiting(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests that wait", n), func() bool {
		got := series(p.stats, "envoy_cluster_upstream_rq_pending_active{")
		return len(got) == 1 && strings.HasSuffix(got[0], fmt.Sprintf(" %d", n))
	})
}

func wantStatus(t *testing.T, got chan string, status string) string {
	t.Helper()
	select {
	case r := <-got:
		if !strings.HasPrefix(r, "HTTP/1.1 "+status) {
			t.Errorf("got %q, want %s", r, status)
		}
		return r
	case <-time.After(30 * time.Second):
		t.Errorf("no answer, want %s", status)
	}
	return ""
}

// With all connections in use, as many requests wait as may, in their order, and the next one is refused at once.
func TestPendingRequests(t *testing.T) {
	g := newGate(t)
	p := newLimited(t, g.at, proxy.Limits{Connections: 1, Pending: 2})
	paths := []string{"/first", "/second", "/last"}
	sent := []chan string{g.send(t, p.at, paths[0])}
	first := <-g.came
	for i, path := range paths[1:] {
		sent = append(sent, g.send(t, p.at, path))
		p.waiting(t, i+1)
	}
	refused := wantStatus(t, g.send(t, p.at, "/refused"), "503")
	if !strings.Contains(refused, "\r\nx-envoy-overloaded: true\r\n") || !strings.HasSuffix(refused, "reset reason: overflow") {
		t.Errorf("refused with %q", refused)
	}
	if e := logLine(t, p.logs, "/refused", "503"); e.Flags.String() != "UO" || e.CodeDetails != "upstream_reset_before_response_started{overflow}" {
		t.Errorf("logged %s %s", e.Flags, e.CodeDetails)
	}
	for i, path := range paths {
		if i > 0 {
			first = <-g.came
		}
		if first != path {
			t.Errorf("request %d that came is %s", i, first)
		}
		g.through <- struct{}{}
		wantStatus(t, sent[i], "200")
	}
	if n := g.most.Load(); n != 1 {
		t.Errorf("%d requests at once on one connection", n)
	}
	after := g.send(t, p.at, "/after") // the connection has ended
	g.through <- struct{}{}
	wantStatus(t, after, "200")
	if got := series(p.stats, "envoy_cluster_upstream_rq_pending_overflow{"); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("refused requests are counted as %q", got)
	}
}

// A request that waits is over with its route's time, and one that waits for a connection that was closed makes another.
func TestPendingTimeout(t *testing.T) {
	g := newGate(t)
	p := newLimited(t, g.at, proxy.Limits{Connections: 1, Pending: 10})
	first := g.send(t, p.at, "/last")
	<-g.came
	after := g.send(t, p.at, "/after")
	p.waiting(t, 1)
	if got := wantStatus(t, g.send(t, p.at, "/late"), "504"); !strings.HasSuffix(got, "upstream request timeout") {
		t.Errorf("late with %q", got)
	}
	if e := logLine(t, p.logs, "/late", "504"); e.Flags.String() != "UT" || e.CodeDetails != "response_timeout" {
		t.Errorf("logged %s, %s", e.Flags, e.CodeDetails)
	}
	p.waiting(t, 1)
	g.through <- struct{}{} // the first one's connection ends, and the other makes its own
	wantStatus(t, first, "200")
	g.through <- struct{}{}
	wantStatus(t, after, "200")
	if a, b := <-g.came, len(g.came); a != "/after" || b != 0 {
		t.Errorf("%s came, and %d more", a, b)
	}
}

// A client that goes away gives its place among those that wait to another.
func TestPendingClientGone(t *testing.T) {
	g := newGate(t)
	p := newLimited(t, g.at, proxy.Limits{Connections: 1, Pending: 1})
	first := g.send(t, p.at, "/first")
	<-g.came
	gone := dial(t, p.at)
	io.WriteString(gone, simple)
	p.waiting(t, 1)
	wantStatus(t, g.send(t, p.at, "/refused"), "503")
	gone.(*net.TCPConn).SetLinger(0)
	gone.Close()
	p.waiting(t, 0)
	second := g.send(t, p.at, "/second")
	p.waiting(t, 1)
	g.through <- struct{}{}
	wantStatus(t, first, "200")
	g.through <- struct{}{}
	wantStatus(t, second, "200")
	if a, b := <-g.came, len(g.came); a != "/second" || b != 0 {
		t.Errorf("%s came, and %d more", a, b)
	}
}

// Many clients share few connections, and none is refused or forgotten.
func TestPendingCrowd(t *testing.T) {
	var now, most atomic.Int64
	backend := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		if len(r.URL.Path)%3 == 0 {
			w.Header().Set("Connection", "close")
		}
		io.WriteString(w, r.URL.Path)
	})
	p := newLimited(t, backend, proxy.Limits{Connections: 3})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for i := range 20 {
				resp, err := client.Get("http://" + p.at.String() + "/" + strings.Repeat("a", i))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n > 3 {
		t.Errorf("%d requests at once on three connections", n)
	}
}

// A waiting request has no part in the limit of requests.
func TestPendingAndRequests(t *testing.T) {
	g := newGate(t)
	p := newLimited(t, g.at, proxy.Limits{Connections: 1, Requests: 2, Pending: 5})
	sent := []chan string{g.send(t, p.at, "/r")}
	<-g.came
	for i := range 4 {
		sent = append(sent, g.send(t, p.at, "/r"))
		p.waiting(t, i+1)
	}
	for range 5 {
		g.through <- struct{}{}
	}
	for _, s := range sent {
		wantStatus(t, s, "200")
	}
}

// A stream of bytes does not wait, and tries no other endpoint: the limit is the cluster's.
func TestStreamsDoNotWait(t *testing.T) {
	cluster := static("api", echo(t), nil)
	cluster.Endpoints = append(cluster.Endpoints, proxy.Endpoint{Address: echo(t)}, proxy.Endpoint{Address: echo(t)}, proxy.Endpoint{Address: echo(t)})
	cluster.Limits = proxy.Limits{Connections: 1}
	at := freePort(t)
	_, logs := start(t, proxy.Options{}, &proxy.Config{Clusters: []*proxy.Cluster{cluster},
		Listeners: []*proxy.Listener{{Name: "out", Address: at, Bind: true, Chains: []*proxy.FilterChain{{Name: "tcp", TCP: tcpTo("api")}}}}})
	first := dial(t, at)
	io.WriteString(first, "x")
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := dial(t, at)
	second.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := second.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes: %v, want the end", n, err)
	}
	if e := logLine(t, logs, " UO "); e.Flags.String() != "UO" || e.UpstreamAttempts > 1 {
		t.Errorf("logged %s after %d attempts", e.Flags, e.UpstreamAttempts)
	}
}
