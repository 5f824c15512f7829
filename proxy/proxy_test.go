package proxy_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
	"github.com/oarlock/oarlock/svid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// identity opens a workload's SVID as its sidecar would.
func identity(t testing.TB, ca *meshtest.CA, namespace, account string) *svid.Source {
	t.Helper()
	client := &svid.Client{
		Address: ca.Address, ServerName: meshtest.CAServerName, RootsFile: ca.RootsFile,
		TokenFile: ca.TokenFile(namespace, account, namespace+"-"+account),
	}
	source, err := svid.Open(t.Context(), client.Obtain, svid.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	return source
}

// start runs a proxy until the test ends. Its access log is in the buffer.
func start(t testing.TB, opt proxy.Options, config *proxy.Config) (*proxy.Proxy, *meshtest.Buffer) {
	t.Helper()
	logs := &meshtest.Buffer{}
	opt.Stdout = logs
	if _, benchmark := t.(*testing.B); !benchmark {
		opt.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	p := proxy.New(opt)
	if err := p.Apply(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, logs
}

var freeAddresses atomic.Uint32

// freePort finds an address on loopback that is free, and stays so: it is of a network where nobody gets a port by chance.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	n, pid := freeAddresses.Add(1), os.Getpid()
	own := netip.AddrFrom4([4]byte{127, byte(200 + pid%50), byte(pid / 50), byte(n)})
	for _, ip := range []netip.Addr{own, netip.AddrFrom4([4]byte{127, 0, 0, 1})} { // only Linux has all of 127/8
		l, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
		if err == nil {
			defer l.Close()
			return netip.MustParseAddrPort(l.Addr().String())
		}
	}
	t.Fatal("no free address")
	return netip.AddrPort{}
}

// echo serves what it is sent until the test ends, and passes on the end of a half.
func echo(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				io.Copy(c, c)
				c.(*net.TCPConn).CloseWrite()
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

var logged = []proxy.AccessLog{{Path: "/dev/stdout", Format: accesslog.IstioCurrent()}}

func tcpTo(cluster string) *proxy.TCPProxy {
	return &proxy.TCPProxy{Clusters: []proxy.WeightedCluster{{Name: cluster}}, AccessLog: logged, PeerExchange: true}
}

func static(name string, at netip.AddrPort, t *proxy.ClientTLS) *proxy.Cluster {
	return &proxy.Cluster{Name: name, ConnectTimeout: 30 * time.Second, Endpoints: []proxy.Endpoint{{Address: at}}, TLS: t, Policy: "DestinationRule a/b",
		Services: []proxy.ServiceName{{Host: "api.shop.svc.cluster.local", Name: "api", Namespace: "shop"}}}
}

var istioALPN = []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}

func serverTLS() *proxy.ServerTLS {
	return &proxy.ServerTLS{Certificate: proxy.Certificate{Own: true}, Trust: proxy.Trust{Own: true}, Require: true,
		Peers: []proxy.NameMatch{{Prefix: true, Value: "spiffe://cluster.local/"}}, ALPN: []string{"istio-peer-exchange", "h2", "http/1.1"}}
}

func clientTLS(alpn ...string) *proxy.ClientTLS {
	return &proxy.ClientTLS{Certificate: proxy.Certificate{Own: true}, Trust: proxy.Trust{Own: true},
		SNI: "outbound_.80_._.api.shop.svc.cluster.local", ALPN: alpn}
}

// inbound is the listener of a server's sidecar for a TCP port in a mode.
func inbound(mode string, at netip.AddrPort) *proxy.Listener {
	l := &proxy.Listener{Name: "virtualInbound", Direction: proxy.Inbound, Address: at, Bind: true, AccessLog: logged,
		InspectTLS: proxy.Ports{On: true}, InspectTimeout: 30 * time.Second}
	mtls := &proxy.FilterChain{Name: "mtls", Match: proxy.ChainMatch{Transport: proxy.TransportTLS}, TLS: serverTLS(), TCP: tcpTo("inbound|80||"), Policy: "PeerAuthentication shop/default"}
	raw := &proxy.FilterChain{Name: "raw", Match: proxy.ChainMatch{Transport: proxy.TransportRaw}, TCP: tcpTo("inbound|80||")}
	opaque := &proxy.FilterChain{Name: "opaque", Match: proxy.ChainMatch{Transport: proxy.TransportTLS}, TCP: tcpTo("inbound|80||")}
	switch mode {
	case "STRICT":
		l.Chains = []*proxy.FilterChain{mtls}
	case "PERMISSIVE":
		mtls.Match.ALPN = istioALPN
		l.Chains = []*proxy.FilterChain{mtls, opaque, raw}
	case "DISABLE":
		l.InspectTLS = proxy.Ports{}
		l.Chains = []*proxy.FilterChain{{Name: "any", TCP: tcpTo("inbound|80||")}}
	}
	return l
}

// A pair is a client's and a server's sidecar in front of an echo server.
type pair struct {
	client, server         *proxy.Proxy
	clientLogs, serverLogs *meshtest.Buffer
	clientStats            *metrics.Registry
	serverStats            *metrics.Registry
	door, serverAt         netip.AddrPort
}

func newPair(t testing.TB, mode string, client *proxy.ClientTLS) *pair {
	t.Helper()
	return newPairTo(t, mode, client, echo(t))
}

func newPairTo(t testing.TB, mode string, client *proxy.ClientTLS, backend netip.AddrPort) *pair {
	t.Helper()
	authority := meshtest.NewCA(t, nil, 0)
	web := proxy.Peer{Workload: "web", Namespace: "front", App: "web", Principal: "spiffe://cluster.local/ns/front/sa/web"}
	api := proxy.Peer{Workload: "api", Namespace: "shop", App: "api", Principal: "spiffe://cluster.local/ns/shop/sa/api"}
	out := &pair{door: freePort(t), serverAt: freePort(t), clientStats: metrics.NewRegistry(web, metrics.Options{}), serverStats: metrics.NewRegistry(api, metrics.Options{})}
	out.server, out.serverLogs = start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), Self: api, NodeID: "api", Series: out.serverStats},
		&proxy.Config{Version: "1", Listeners: []*proxy.Listener{inbound(mode, out.serverAt)}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}})
	out.client, out.clientLogs = start(t, proxy.Options{Identity: identity(t, authority, "front", "web"), Self: web, NodeID: "web", Series: out.clientStats},
		&proxy.Config{Version: "1", Listeners: []*proxy.Listener{{Name: "out", Address: out.door, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("api")}}}},
			Clusters: []*proxy.Cluster{static("api", out.serverAt, client)}})
	return out
}

// say sends a text through a connection and gives what comes back until the end.
func say(t testing.TB, c net.Conn, text string) (string, error) {
	t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// call is say on a connection of its own, which may be reset as soon as it is there.
func call(t testing.TB, at netip.AddrPort, text string) (string, error) {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	return say(t, c, text)
}

func dial(t testing.TB, at netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// series gives the lines of a registry's exposition that have all of the words.
func series(r *metrics.Registry, words ...string) []string {
	rec := httptest.NewRecorder()
	r.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	var out []string
next:
	for line := range strings.Lines(rec.Body.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		if !strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

// Every client socket against every mode, as the matrix of Istio has it for a TCP port.
func TestTCPModes(t *testing.T) {
	noALPN := clientTLS()
	oneWay := clientTLS("istio")
	oneWay.Certificate = proxy.Certificate{}
	for _, c := range []struct {
		mode, name string
		client     *proxy.ClientTLS
		works      bool
		security   string // of the server's series, "" where there is none
		cause      string // at the server
		flags      string // in the client's log
	}{
		{"STRICT", "plaintext", nil, false, "", metrics.CausePlaintextToTLS, "UC"},
		{"STRICT", "mTLS", clientTLS("istio-peer-exchange", "istio"), true, "mutual_tls", "", "-"},
		{"STRICT", "mTLS without ALPN", noALPN, true, "mutual_tls", "", "-"},
		{"STRICT", "TLS without certificate", oneWay, false, "", metrics.CauseNoClientCertificate, "UC"},
		{"PERMISSIVE", "plaintext", nil, true, "none", "", "-"},
		{"PERMISSIVE", "mTLS", clientTLS("istio-peer-exchange", "istio"), true, "mutual_tls", "", "-"},
		{"DISABLE", "plaintext", nil, true, "none", "", "-"},
		{"DISABLE", "mTLS", clientTLS("istio"), false, "none", "", "UF"}, // the echo server sends the ClientHello back
	} {
		t.Run(c.mode+"/"+c.name, func(t *testing.T) {
			p := newPair(t, c.mode, c.client)
			got, err := call(t, p.door, "ahoy")
			if works := got == "ahoy" && err == nil; works != c.works {
				t.Errorf("got %q, %v; works = %v, want %v", got, err, works, c.works)
			}
			eventually(t, "the client's log line has "+c.flags, func() bool {
				return strings.Contains(p.clientLogs.String(), " 0 "+c.flags+" ")
			})
			if c.security != "" {
				eventually(t, "a series with "+c.security, func() bool {
					return len(series(p.serverStats, "istio_tcp_connections_opened_total", `connection_security_policy="`+c.security+`"`)) == 1
				})
			}
			if c.cause != "" {
				eventually(t, "a failure for "+c.cause, func() bool {
					return len(series(p.serverStats, "oarlock_handshake_failures_total", `cause="`+c.cause+`"`, `policy="PeerAuthentication shop/default"`)) == 1
				})
			}
		})
	}
}

// Both sides name each other, workloads by the metadata exchange and principals by the certificates.
func TestPeersAreNamed(t *testing.T) {
	p := newPair(t, "STRICT", clientTLS("istio-peer-exchange", "istio"))
	if got, err := say(t, dial(t, p.door), "ahoy"); got != "ahoy" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	both := []string{`source_workload="web"`, `source_principal="spiffe://cluster.local/ns/front/sa/web"`, `destination_workload="api"`, `destination_principal="spiffe://cluster.local/ns/shop/sa/api"`}
	for _, side := range []*metrics.Registry{p.clientStats, p.serverStats} {
		eventually(t, "a series with both peers", func() bool {
			return len(series(side, append(both, "istio_tcp_sent_bytes_total", "} 4")...)) == 1
		})
	}
	// A second connection resumes the session and is checked like the first.
	if got, err := say(t, dial(t, p.door), "again"); got != "again" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if lines := series(p.serverStats, "envoy_listener_ssl_session_reused"); len(lines) != 1 || !strings.HasSuffix(lines[0], " 1") {
		t.Errorf("session_reused = %q, want 1", lines)
	}
}

func TestWrongServer(t *testing.T) {
	c := clientTLS("istio")
	c.Peers = []proxy.NameMatch{{Value: "spiffe://cluster.local/ns/shop/sa/other"}}
	p := newPair(t, "STRICT", c)
	if got, _ := call(t, p.door, "ahoy"); got != "" {
		t.Errorf("got %q from a server that is not the one that was asked for", got)
	}
	eventually(t, "the log names the cause", func() bool {
		return strings.Contains(p.clientLogs.String(), " UF ") && strings.Contains(p.clientLogs.String(), "CERTIFICATE_VERIFY_FAILED:verify cert failed: SAN matcher")
	})
	eventually(t, "a failure is counted", func() bool {
		return len(series(p.clientStats, "oarlock_handshake_failures_total", `cause="san-mismatch"`, `policy="DestinationRule a/b"`, `destination_service="api.shop.svc.cluster.local"`)) == 1
	})
}

// Who is refused is named, and for what: the right trust domain and another name, or another trust domain.
func TestRefusedClientIsNamed(t *testing.T) {
	for want, allowed := range map[string]string{
		metrics.CauseSANMismatch:      "spiffe://cluster.local/ns/front/sa/other",
		metrics.CauseWrongTrustDomain: "spiffe://elsewhere.example/ns/front/sa/web",
	} {
		t.Run(want, func(t *testing.T) {
			authority, at := meshtest.NewCA(t, nil, 0), freePort(t)
			l := inbound("STRICT", at)
			l.Chains[0].TLS.Peers = []proxy.NameMatch{{Value: allowed}}
			stats := metrics.NewRegistry(metrics.Peer{}, metrics.Options{})
			start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), Series: stats},
				&proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("inbound|80||", echo(t), nil)}})
			config := identity(t, authority, "front", "web").ClientConfig(spiffeid.MatchAny())
			if c, err := tls.Dial("tcp", at.String(), config); err == nil {
				c.Read(make([]byte, 1))
				c.Close()
			}
			eventually(t, want, func() bool {
				return len(series(stats, "oarlock_handshake_failures_total", `cause="`+want+`"`, `source_principal="spiffe://cluster.local/ns/front/sa/web"`)) == 1
			})
		})
	}
}

// A client that offers an ALPN which the server does not speak gets a connection without one.
func TestNoALPNInCommon(t *testing.T) {
	authority := meshtest.NewCA(t, nil, 0)
	at := freePort(t)
	start(t, proxy.Options{Identity: identity(t, authority, "shop", "api")},
		&proxy.Config{Listeners: []*proxy.Listener{inbound("STRICT", at)}, Clusters: []*proxy.Cluster{static("inbound|80||", echo(t), nil)}})
	config := identity(t, authority, "front", "web").ClientConfig(spiffeid.MatchAny())
	config.NextProtos = []string{"istio"}
	c, err := tls.Dial("tcp", at.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "" {
		t.Errorf("negotiated %q", got)
	}
	if got, err := say(t, c, "ahoy"); got != "ahoy" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// Apply in the middle of traffic: what did not change goes on, what changed drains, nothing is lost.
func TestApplyKeepsConnections(t *testing.T) {
	authority := meshtest.NewCA(t, nil, 0)
	at, backend := freePort(t), echo(t)
	config := func(mode string) *proxy.Config {
		return &proxy.Config{Version: mode, Listeners: []*proxy.Listener{inbound(mode, at)}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}}
	}
	p, _ := start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), DrainTime: 3 * time.Second}, config("PERMISSIVE"))
	c := dial(t, at)
	ping := func() error {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(c, "x"); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(config("PERMISSIVE")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3500 * time.Millisecond) // longer than a drain
	if err := ping(); err != nil {
		t.Fatalf("an equal Config broke a connection: %v", err)
	}
	if err := p.Apply(config("STRICT")); err != nil {
		t.Fatal(err)
	}
	if err := ping(); err != nil {
		t.Fatalf("the connection was not left to drain: %v", err)
	}
	if got, err := call(t, at, "ahoy"); got != "" {
		t.Errorf("STRICT takes plaintext: %q, %v", got, err)
	}
	eventually(t, "the plaintext connection is closed", func() bool { return ping() != nil })
	if p.Version() != "STRICT" {
		t.Errorf("Version = %s", p.Version())
	}
}

// A Config that cannot be put in force leaves the one that is.
func TestApplyRefuses(t *testing.T) {
	at, busy := freePort(t), echo(t)
	good := &proxy.Config{Version: "good", Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}}}, Clusters: []*proxy.Cluster{static("c", busy, nil)}}
	p, _ := start(t, proxy.Options{}, good)
	for name, bad := range map[string]*proxy.Config{
		"no identity":  {Listeners: good.Listeners, Clusters: []*proxy.Cluster{static("c", busy, clientTLS())}},
		"port in use":  {Listeners: []*proxy.Listener{{Name: "m", Address: busy, Bind: true, Chains: good.Listeners[0].Chains}}, Clusters: good.Clusters},
		"no filter":    {Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{}}}}},
		"match double": {Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}, {TCP: tcpTo("d")}}}}},
	} {
		if err := p.Apply(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got, err := say(t, dial(t, at), "ahoy"); got != "ahoy" || err != nil {
			t.Errorf("%s: the old Config is not in force: %q, %v", name, got, err)
		}
	}
}

// The doors of explicit capture stand for an original destination.
func TestDoors(t *testing.T) {
	backend, door, httpDoor := echo(t), freePort(t), freePort(t)
	service := netip.MustParseAddrPort("10.96.0.7:80")
	config := &proxy.Config{
		Listeners: []*proxy.Listener{
			{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), Bind: true, UseOriginalDst: true, OriginalDst: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("BlackHoleCluster")}}},
			{Name: "10.96.0.7_80", Address: service, Chains: []*proxy.FilterChain{{TCP: tcpTo("api")}}},
		},
		Clusters: []*proxy.Cluster{static("api", backend, nil), {Name: "BlackHoleCluster"}},
	}
	start(t, proxy.Options{Capture: proxy.Capture{
		Doors: []proxy.Door{{Listen: door, Original: service}, {Listen: httpDoor, HTTPProxy: true}},
		Names: map[string]netip.Addr{"api.shop": service.Addr()},
	}}, config)
	if got, err := say(t, dial(t, door), "ahoy"); got != "ahoy" || err != nil {
		t.Errorf("front door: %q, %v", got, err)
	}
	for target, want := range map[string]string{
		"api.shop:80":   "HTTP/1.1 200 OK\r\n\r\nahoy",
		"10.96.0.7:80":  "HTTP/1.1 200 OK\r\n\r\nahoy",
		"10.96.0.8:80":  "HTTP/1.1 200 OK\r\n\r\n", // black hole
		"nobody.svc:80": "HTTP/1.1 502 Bad Gateway\r\n",
		"nonsense":      "HTTP/1.1 502 Bad Gateway\r\n",
		"x:y":           "HTTP/1.1 400 Bad Request\r\n",
	} {
		got, _ := say(t, dial(t, httpDoor), fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\nahoy", target, target))
		if !strings.HasPrefix(got, want) || strings.HasSuffix(got, "ahoy") != strings.HasSuffix(want, "ahoy") {
			t.Errorf("CONNECT %s: %q, want %q", target, got, want)
		}
	}
}

// A server-first protocol: the sidecar waits in vain for the client's first byte and goes on.
func TestServerFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.WriteString(c, "220 ready\r\n")
			c.Close()
		}
	}()
	at := freePort(t)
	in := inbound("PERMISSIVE", at)
	in.InspectTimeout = 200 * time.Millisecond
	start(t, proxy.Options{Identity: identity(t, meshtest.NewCA(t, nil, 0), "shop", "api")},
		&proxy.Config{Listeners: []*proxy.Listener{in}, Clusters: []*proxy.Cluster{static("inbound|80||", netip.MustParseAddrPort(l.Addr().String()), nil)}})
	c := dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if b, err := io.ReadAll(c); string(b) != "220 ready\r\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

// An endpoint that fails is put aside, and comes back.
func TestOutlier(t *testing.T) {
	good, door := echo(t), freePort(t)
	bad := freePort(t) // nobody listens
	p, _ := start(t, proxy.Options{}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "l", Address: door, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}}},
		Clusters: []*proxy.Cluster{{Name: "c", Endpoints: []proxy.Endpoint{{Address: bad}, {Address: good}},
			Outlier: &proxy.Outlier{Consecutive5xx: 1, BaseEjection: 200 * time.Millisecond}}},
	})
	_ = p
	for range 6 { // each finds the good one, the bad one is tried first at most once
		if got, err := say(t, dial(t, door), "ahoy"); got != "ahoy" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestDrain(t *testing.T) {
	meshtest.NoLeaks(t)
	backend, at := echo(t), freePort(t)
	p, _ := start(t, proxy.Options{}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}}},
		Clusters:  []*proxy.Cluster{static("c", backend, nil)},
	})
	c := dial(t, at)
	io.WriteString(c, "x")
	io.ReadFull(c, make([]byte, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain = %v with a connection open", err)
	}
	if _, err := net.Dial("tcp", at.String()); err == nil {
		t.Error("a draining proxy accepts")
	}
	c.Close()
	if err := p.Drain(t.Context()); err != nil {
		t.Errorf("Drain = %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// A client that was told of a door by its address says so in Host, and reaches the service all the same.
func TestDoorAddressAsHost(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "api") }))
	defer backend.Close()
	door, service := freePort(t), netip.MustParseAddrPort("10.96.0.7:80")
	all := proxy.RouteMatch{Prefix: "/"}
	table := &proxy.RouteTable{Hosts: []*proxy.VirtualHost{
		{Name: "api", Domains: []string{"api", "10.96.0.7", "10.96.0.7:80"}, Routes: []*proxy.Route{{Match: all, Clusters: []proxy.WeightedCluster{{Name: "api"}}}}},
		{Name: "block_all", Domains: []string{"*"}, Routes: []*proxy.Route{{Match: all, Direct: &proxy.DirectResponse{Status: 502}}}},
	}}
	start(t, proxy.Options{Capture: proxy.Capture{Doors: []proxy.Door{{Listen: door, Original: service}}}}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), Bind: true, UseOriginalDst: true, OriginalDst: true,
			Chains: []*proxy.FilterChain{{HTTP: &proxy.HTTPManager{Table: table}}}}},
		Clusters: []*proxy.Cluster{static("api", netip.MustParseAddrPort(backend.Listener.Addr().String()), nil)},
	})
	for host, want := range map[string]int{door.String(): 200, door.Addr().String(): 200, "api": 200, "other": 502} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+door.String()+"/", nil)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, res.StatusCode, want)
		}
	}
}

// A peer that puts its metadata and the application's first bytes into one TLS record: the rest of the record is not lost, and
// not waited for.
func TestExchangeAndDataInOneRecord(t *testing.T) {
	backend := echo(t)
	authority, at := meshtest.NewCA(t, nil, 0), freePort(t)
	start(t, proxy.Options{Identity: identity(t, authority, "shop", "api")},
		&proxy.Config{Listeners: []*proxy.Listener{inbound("STRICT", at)}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}})
	config := identity(t, authority, "front", "web").ClientConfig(spiffeid.MatchAny())
	config.NextProtos = []string{"istio-peer-exchange"}
	c, err := tls.Dial("tcp", at.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	empty := []byte{0x3D, 0x23, 0x04, 0x67, 0, 0, 0, 0}
	if _, err := c.Write(append(empty, "ahoy"...)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ahoy" {
		t.Errorf("got %q, %v", got, err)
	}
}
