package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/proxy"
)

// sockets is how many the process has open, 0 where that is not known. Other descriptors do not count: package io has pipes
// in reserve.
func sockets() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// A chaos is a client's and a server's sidecar whose configurations change under traffic.
type chaos struct {
	client, server       *proxy.Proxy
	tcpDoor, httpDoor    netip.AddrPort
	tcpAt, httpAt        netip.AddrPort
	tcpEcho, httpBackend netip.AddrPort
	good, bad            atomic.Int64
}

// serverConfig is the server's sidecar in a mode, with clusters that come and go.
func (x *chaos) serverConfig(r *rand.Rand) *proxy.Config {
	mode := []string{"STRICT", "PERMISSIVE"}[r.IntN(2)]
	tcp, web := inbound(mode, x.tcpAt), inbound(mode, x.httpAt)
	web.Name = "http"
	for _, c := range web.Chains {
		c.TCP, c.HTTP = nil, &proxy.HTTPManager{Table: everywhere("inbound|81||", nil)}
		if c.TLS != nil {
			c.TLS.ALPN = []string{"h2", "http/1.1"}
		}
	}
	out := &proxy.Config{Version: mode, Listeners: []*proxy.Listener{tcp, web},
		Clusters: []*proxy.Cluster{static("inbound|80||", x.tcpEcho, nil), static("inbound|81||", x.httpBackend, nil)}}
	for i := range r.IntN(3) {
		out.Clusters = append(out.Clusters, static(fmt.Sprintf("inbound|%d||", 90+i), x.tcpEcho, nil))
	}
	return out
}

// clientConfig has one endpoint that works and, now and then, some where nobody listens, besides clusters and listeners
// that nobody needs.
func (x *chaos) clientConfig(r *rand.Rand) *proxy.Config {
	cluster := func(name string, at netip.AddrPort, alpn ...string) *proxy.Cluster {
		c := static(name, at, clientTLS(alpn...))
		for range r.IntN(3) {
			c.Endpoints = append(c.Endpoints, proxy.Endpoint{Address: at, Weight: uint32(1 + r.IntN(3))})
		}
		c.Balancer = proxy.Balancer(r.IntN(3))
		return c
	}
	route := func(r *proxy.Route) {
		r.Retry = &proxy.RetryPolicy{On: proxy.RetryConnectFailure | proxy.RetryBeforeRequest | proxy.RetryReset, Attempts: 3}
	}
	out := &proxy.Config{
		Listeners: []*proxy.Listener{
			{Name: "tcp", Address: x.tcpDoor, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("tcp")}}},
			{Name: "http", Address: x.httpDoor, Bind: true, Chains: []*proxy.FilterChain{{HTTP: &proxy.HTTPManager{Table: everywhere("http", route)}}}},
		},
		Clusters: []*proxy.Cluster{cluster("tcp", x.tcpAt, "istio-peer-exchange", "istio"), cluster("http", x.httpAt, "istio")},
	}
	for i := range r.IntN(4) {
		out.Clusters = append(out.Clusters, static(fmt.Sprint("spare", i), x.tcpAt, nil))
		out.Listeners = append(out.Listeners, &proxy.Listener{Name: fmt.Sprint("spare", i), Address: netip.MustParseAddrPort(fmt.Sprintf("10.96.0.%d:80", i+1)),
			Chains: []*proxy.FilterChain{{TCP: tcpTo(fmt.Sprint("spare", i))}}})
	}
	return out
}

// bytesThrough sends random bytes over a connection of its own and checks what comes back. A connection that was drained
// may be cut, but never give other bytes, and never end in good order too early.
func (x *chaos) bytesThrough(t *testing.T, r *rand.Rand) {
	c, err := net.Dial("tcp", x.tcpDoor.String())
	if err != nil {
		t.Errorf("connect: %v", err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	block := make([]byte, 1+r.IntN(200_000))
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	go func() { c.Write(block); c.(*net.TCPConn).CloseWrite() }()
	got, err := io.ReadAll(c)
	if !bytes.HasPrefix(block, got) {
		t.Errorf("%d bytes came back that were not sent", len(got))
	}
	if err == nil && len(got) != len(block) {
		t.Errorf("%d of %d bytes came back, and then an end in good order", len(got), len(block))
	}
	x.count(err == nil)
}

func (x *chaos) count(ok bool) {
	if ok {
		x.good.Add(1)
		return
	}
	x.bad.Add(1)
}

// requestThrough posts a body and wants its hash.
func (x *chaos) requestThrough(t *testing.T, client *http.Client, r *rand.Rand) {
	body := bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(20_000))
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+x.httpDoor.String()+"/", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	res, err := client.Do(req)
	if err != nil {
		t.Errorf("request: %v", err)
		return
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if want := sha256.Sum256(body); res.StatusCode == 200 && (err != nil || !bytes.Equal(got, want[:])) {
		t.Errorf("an answer to something else: %x, %v", got, err)
	}
	x.count(res.StatusCode == 200)
}

// Configurations change at random under traffic, and at the end nothing is mixed up and nothing is left.
func TestChaos(t *testing.T) {
	meshtest.NoLeaks(t)
	authority := meshtest.NewCA(t, nil, 0)
	x := &chaos{tcpDoor: freePort(t), httpDoor: freePort(t), tcpAt: freePort(t), httpAt: freePort(t), tcpEcho: echo(t)}
	x.httpBackend = serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		w.Write(h.Sum(nil))
	})
	server, client := identity(t, authority, "shop", "api"), identity(t, authority, "front", "web")
	before := sockets()
	r := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	x.server, _ = start(t, proxy.Options{Identity: server, DrainTime: 30 * time.Second}, x.serverConfig(r))
	x.client, _ = start(t, proxy.Options{Identity: client, DrainTime: 30 * time.Second}, x.clientConfig(r))
	transport := &http.Transport{}
	httpClient := &http.Client{Transport: transport, Timeout: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				x.bytesThrough(t, r)
			}
		})
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for ctx.Err() == nil {
				x.requestThrough(t, httpClient, r)
			}
		})
	}
	slow := time.Now().Add(time.Minute)
	for range 60 {
		had := x.good.Load()
		p, config := x.client, x.clientConfig(r)
		if r.IntN(2) == 0 {
			p, config = x.server, x.serverConfig(r)
		}
		if err := p.Apply(config); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
		// Who shakes hands under a policy that is gone is cut, and on a slow machine most do.
		for x.good.Load() < had+3 && time.Now().Before(slow) {
			time.Sleep(time.Millisecond)
		}
	}
	had, cut := x.good.Load(), x.bad.Load()
	for end := time.Now().Add(time.Minute); x.good.Load() < had+100 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	wg.Wait()
	transport.CloseIdleConnections()
	good, bad := x.good.Load(), x.bad.Load()
	// What was under way at the last change may be cut after it: one exchange of each of the eight.
	if bad > cut+8 {
		t.Errorf("%d exchanges were cut while nothing changed", bad-cut)
	}
	t.Logf("%d exchanges went well, %d were cut", good, bad)
	if good < 50 || bad*2 > good {
		t.Errorf("%d exchanges went well, %d did not", good, bad)
	}
	for _, p := range []*proxy.Proxy{x.client, x.server} {
		within(t, 30*time.Second, "Drain", func() {
			if err := p.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if n := p.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		within(t, 30*time.Second, "Close", func() { p.Close() })
	}
	if before > 0 {
		// The backends' ends of pooled connections close by themselves.
		eventually(t, "the sockets of before", func() bool { return sockets() <= before })
	}
}

// Many Applies at once, of many goroutines: each is whole, and the last one's sockets are there.
func TestConcurrentApply(t *testing.T) {
	meshtest.NoLeaks(t)
	backend := echo(t)
	at := []netip.AddrPort{freePort(t), freePort(t), freePort(t)}
	config := func(i int) *proxy.Config {
		c := &proxy.Config{Version: fmt.Sprint(i), Clusters: []*proxy.Cluster{static("c", backend, nil)}}
		for n := range i%3 + 1 {
			c.Listeners = append(c.Listeners, &proxy.Listener{Name: fmt.Sprint("l", n), Address: at[n], Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}})
		}
		return c
	}
	p, _ := start(t, proxy.Options{}, config(0))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 30 {
				if err := p.Apply(config(g + i)); err != nil {
					t.Error(err)
				}
				if got, err := call(t, at[0], "ahoy"); got != "ahoy" || err != nil { // the listener that each of them has
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		if err := p.Apply(config(i)); err != nil || p.Version() != fmt.Sprint(i) {
			t.Fatalf("version %s, %v", p.Version(), err)
		}
		for n := range at {
			got, err := call(t, at[n], "ahoy")
			if (got == "ahoy") != (n <= i) {
				t.Errorf("%d listeners: number %d says %q, %v", i+1, n, got, err)
			}
		}
	}
}
