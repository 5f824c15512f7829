package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// within fails the test where something takes too long.
func within(t testing.TB, d time.Duration, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("not within %v: %s", d, what)
	}
}

// Close ends a connection that has not said yet what it wants, at every step of finding out.
func TestCloseWhileLooking(t *testing.T) {
	authority, backend := meshtest.NewCA(t, nil, 0), echo(t)
	id := identity(t, authority, "shop", "api")
	for name, first := range map[string]string{
		"nothing":               "",
		"begin of a hello":      "\x16\x03\x01",
		"hello and no more":     string(hello(t, nil)),
		"begin of a proxy head": "CONNECT x",
	} {
		t.Run(name, func(t *testing.T) {
			at, httpDoor := freePort(t), freePort(t)
			l := inbound("STRICT", at)
			l.InspectTimeout = -1
			out := &proxy.Listener{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), UseOriginalDst: true,
				Chains: []*proxy.FilterChain{{TCP: tcpTo("inbound|80||")}}}
			p := proxy.New(proxy.Options{Identity: id, Capture: proxy.Capture{Doors: []proxy.Door{{Listen: httpDoor, HTTPProxy: true}}}})
			if err := p.Apply(&proxy.Config{Listeners: []*proxy.Listener{l, out}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}}); err != nil {
				t.Fatal(err)
			}
			to := at
			if strings.HasPrefix(first, "CONNECT") {
				to = httpDoor
			}
			c := dial(t, to)
			io.WriteString(c, first)
			eventually(t, "the connection is there", func() bool { return p.Connections() == 1 })
			within(t, 30*time.Second, "Close", func() { p.Close() })
			if p.Connections() != 0 {
				t.Errorf("%d connections are left", p.Connections())
			}
			c.SetDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the client's connection is open")
			}
		})
	}
}

// A connection that was accepted under one policy and speaks under the next is judged by the next.
func TestPolicyChangesWhileLooking(t *testing.T) {
	authority, backend := meshtest.NewCA(t, nil, 0), echo(t)
	for _, c := range []struct {
		from, to string
		works    bool
	}{
		{"PERMISSIVE", "PERMISSIVE", true}, {"PERMISSIVE", "STRICT", false}, {"STRICT", "PERMISSIVE", true}, {"STRICT", "DISABLE", true}, {"PERMISSIVE", "gone", false},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			at := freePort(t)
			config := func(mode string) *proxy.Config {
				if mode == "gone" {
					return &proxy.Config{}
				}
				l := inbound(mode, at)
				l.InspectTimeout = -1
				return &proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}}
			}
			p, _ := start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), DrainTime: 100 * time.Millisecond}, config(c.from))
			client := dial(t, at)
			eventually(t, "the connection is there", func() bool { return p.Connections() == 1 })
			if err := p.Apply(config(c.to)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // what was to drain is drained
			if got, _ := say(t, client, "ahoy"); (got == "ahoy") != c.works {
				t.Errorf("got %q, works = %v, want %v", got, got == "ahoy", c.works)
			}
		})
	}
}

// Drain, Apply and Close close connections while others are in the middle of their handshakes.
func TestCloseWhileShakingHands(t *testing.T) {
	meshtest.NoLeaks(t)
	authority, backend, at := meshtest.NewCA(t, nil, 0), echo(t), freePort(t)
	config := func(mode string) *proxy.Config {
		return &proxy.Config{Listeners: []*proxy.Listener{inbound(mode, at)}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}}
	}
	p, _ := start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), DrainTime: 20 * time.Millisecond}, config("STRICT"))
	client := identity(t, authority, "front", "web").ClientConfig(spiffeid.MatchAny())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := tls.Dial("tcp", at.String(), client)
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				c.SetDeadline(time.Now().Add(30 * time.Second))
				io.WriteString(c, "x")
				c.Read(make([]byte, 1))
				c.Close()
			}
		})
	}
	for i := range 20 {
		if err := p.Apply(config([]string{"PERMISSIVE", "STRICT"}[i%2])); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	within(t, 30*time.Second, "Drain", func() {
		short, stop := context.WithTimeout(ctx, 700*time.Millisecond)
		defer stop()
		p.Drain(short)
	})
	within(t, 30*time.Second, "Close", func() { p.Close() })
	cancel()
	wg.Wait()
}

// Of too many connections the last are refused at once, and a place that is free again is given away.
func TestMaxConnections(t *testing.T) {
	at := freePort(t)
	series := metrics.NewRegistry(metrics.Peer{}, metrics.Options{})
	p, _ := start(t, proxy.Options{MaxConnections: 3, Series: series}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}}},
		Clusters:  []*proxy.Cluster{static("c", echo(t), nil)},
	})
	ping := func(c net.Conn) error {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, "x")
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	var open []net.Conn
	for range 3 {
		c := dial(t, at)
		if err := ping(c); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if err := ping(dial(t, at)); err == nil {
		t.Error("a fourth connection is served")
	}
	wantListener(t, series, at, "downstream_cx_total", 3)
	wantListener(t, series, at, "downstream_cx_active", 3)
	wantListener(t, series, at, "downstream_global_cx_overflow", 1)
	if p.Connections() != 3 {
		t.Errorf("%d connections", p.Connections())
	}
	open[0].Close()
	eventually(t, "it is not counted as open", func() bool { return listenerValue(t, series, at, "downstream_cx_active") == 2 })
	eventually(t, "a place is free", func() bool { return ping(dial(t, at)) == nil })
	if err := ping(open[1]); err != nil {
		t.Errorf("one that was there is broken: %v", err)
	}
}

// wantListener checks a series of the listener at an address.
func wantListener(t testing.TB, r *metrics.Registry, at netip.AddrPort, name string, want int) {
	t.Helper()
	if got := listenerValue(t, r, at, name); got != want {
		t.Errorf("%s is %d, want %d", name, got, want)
	}
}

// listenerValue reads a series of the listener at an address, as a scrape has it; -1 where it is not there.
func listenerValue(t testing.TB, r *metrics.Registry, at netip.AddrPort, name string) int {
	t.Helper()
	prefix := fmt.Sprintf("envoy_listener_%s{envoy_listener_address=%q} ", name, strings.ReplaceAll(at.String(), ":", "_"))
	lines := series(r, prefix)
	if len(lines) != 1 {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(lines[0], prefix))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A connection counts on the listener that has its filter chain, behind the door as well; one that no chain wants does not.
func TestConnectionsAreCounted(t *testing.T) {
	door, at := freePort(t), netip.MustParseAddrPort("10.1.2.3:80")
	series := metrics.NewRegistry(metrics.Peer{}, metrics.Options{})
	chains := []*proxy.FilterChain{{TCP: tcpTo("c")}}
	out := &proxy.Listener{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), UseOriginalDst: true, Chains: chains}
	behind := &proxy.Listener{Name: "l", Address: at, Direction: proxy.Outbound, Chains: chains}
	none := &proxy.Listener{Name: "none", Address: freePort(t), Bind: true, Chains: []*proxy.FilterChain{{Match: proxy.ChainMatch{Transport: proxy.TransportTLS}, TCP: tcpTo("c")}}}
	start(t, proxy.Options{Series: series, Capture: proxy.Capture{Doors: []proxy.Door{{Listen: door, Original: at}}}}, &proxy.Config{
		Listeners: []*proxy.Listener{out, behind, none},
		Clusters:  []*proxy.Cluster{static("c", echo(t), nil)},
	})
	for range 2 {
		if got, err := call(t, door, "x"); got != "x" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if _, err := call(t, none.Address, "x"); err == nil {
		t.Error("a connection that no chain wants ends in good order")
	}
	wantListener(t, series, at, "downstream_cx_total", 2)
	wantListener(t, series, at, "downstream_global_cx_overflow", 0)
	wantListener(t, series, out.Address, "downstream_cx_total", 0)
	wantListener(t, series, none.Address, "downstream_cx_total", 0)
	wantListener(t, series, none.Address, "no_filter_chain_match", 1)
}

// hello gives a ClientHello as crypto/tls writes it.
func hello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	if config == nil {
		config = &tls.Config{ServerName: "a.example", NextProtos: []string{"istio"}}
	}
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(far, config).Handshake()
	head := make([]byte, 5)
	if _, err := io.ReadFull(near, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(near, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// A pacedConn writes in pieces of a size, with a pause between.
type pacedConn struct {
	net.Conn
	size  int
	pause time.Duration
	first int // how many bytes go in pieces
}

func (c *pacedConn) Write(p []byte) (int, error) {
	n := 0
	for c.first > 0 && n < len(p) {
		m, err := c.Conn.Write(p[n:min(len(p), n+c.size)])
		n += m
		c.first -= m
		if err != nil {
			return n, err
		}
		time.Sleep(c.pause)
	}
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}

// A resplitConn writes the first record as several.
type resplitConn struct {
	net.Conn
	size int
	done bool
}

func (c *resplitConn) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	c.done = true
	var out []byte
	for body := p[5:]; len(body) > 0; {
		n := min(len(body), c.size)
		out = append(out, p[0], p[1], p[2], byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	_, err := c.Conn.Write(out)
	return len(p), err
}

// A hello may come slowly, in pieces, in several records, and may be long.
func TestHellos(t *testing.T) {
	authority, calm, hasty := meshtest.NewCA(t, nil, 0), inbound("STRICT", freePort(t)), inbound("STRICT", freePort(t))
	hasty.Name, hasty.InspectTimeout = "hasty", 2*time.Second
	start(t, proxy.Options{Identity: identity(t, authority, "shop", "api")},
		&proxy.Config{Listeners: []*proxy.Listener{calm, hasty}, Clusters: []*proxy.Cluster{static("inbound|80||", echo(t), nil)}})
	id := identity(t, authority, "front", "web")
	long := []string{"istio"}
	for i := range 200 {
		long = append(long, strings.Repeat("p", 30)+string(rune('A'+i%26))+string(rune('A'+i/26)))
	}
	for name, c := range map[string]struct {
		wrap func(net.Conn) net.Conn
		alpn []string
		max  uint16
	}{
		"whole":        {},
		"TLS 1.2":      {max: tls.VersionTLS12},
		"byte by byte": {wrap: func(c net.Conn) net.Conn { return &pacedConn{Conn: c, size: 1, first: 40} }},
		"slowly": {wrap: func(c net.Conn) net.Conn {
			return &pacedConn{Conn: c, size: 40, pause: 500 * time.Millisecond, first: 200}
		}},
		"6 KB":                     {alpn: long},
		"6 KB in pieces":           {alpn: long, wrap: func(c net.Conn) net.Conn { return &pacedConn{Conn: c, size: 999, pause: time.Millisecond, first: 5000} }},
		"in records of 64":         {wrap: func(c net.Conn) net.Conn { return &resplitConn{Conn: c, size: 64} }},
		"6 KB in records of 1,000": {alpn: long, wrap: func(c net.Conn) net.Conn { return &resplitConn{Conn: c, size: 1000} }},
	} {
		t.Run(name, func(t *testing.T) {
			config := id.ClientConfig(spiffeid.MatchAny())
			config.NextProtos, config.MaxVersion, config.ServerName = c.alpn, c.max, "a.example"
			at := calm.Address
			if name == "slowly" {
				at = hasty.Address
			}
			conn := dial(t, at)
			if c.wrap != nil {
				conn = c.wrap(conn)
			}
			if got, err := say(t, tls.Client(conn, config), "ahoy"); got != "ahoy" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What is no hello of ours finds the chain that it should, or none, and is told of as what it is.
func TestFirstBytes(t *testing.T) {
	authority, backend := meshtest.NewCA(t, nil, 0), echo(t)
	id := identity(t, authority, "shop", "api")
	whole := string(hello(t, nil))
	for _, c := range []struct {
		name, mode, sent string
		back             string // what the echo server sends back, "" nothing
		cause            string // "" no failure
		noChain          bool
	}{
		{"text", "PERMISSIVE", "EHLO mail\r\n", "EHLO mail\r\n", "", false},
		{"a byte", "PERMISSIVE", "x", "x", "", false},
		{"zeros", "PERMISSIVE", "\x00\x00\x00\x00", "\x00\x00\x00\x00", "", false},
		{"like a record", "PERMISSIVE", "\x16\x03\x01\x00\x05hello", "\x16\x03\x01\x00\x05hello", "", false},
		{"cut hello", "PERMISSIVE", whole[:50], whole[:50], "", false},
		{"a first byte of a hello", "PERMISSIVE", "\x16", "\x16", "", false},
		{"HTTP", "STRICT", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", metrics.CausePlaintextToTLS, true},
		{"text", "STRICT", "EHLO mail\r\n", "", metrics.CausePlaintextToTLS, true},
		{"cut hello", "STRICT", whole[:50], "", metrics.CausePlaintextToTLS, true},
		{"nothing", "STRICT", "", "", "", false}, // the end before the first byte
		{"hello and the end", "STRICT", whole, "", metrics.CauseClosed, false},
		{"hello twice", "STRICT", whole + whole, "", metrics.CauseOther, false},
		{"hello", "DISABLE", whole, whole, "", false},
		{"text", "DISABLE", "EHLO mail\r\n", "EHLO mail\r\n", "", false},
		{"long text", "PERMISSIVE", strings.Repeat("0123456789", 10_000), strings.Repeat("0123456789", 10_000), "", false},
	} {
		t.Run(c.mode+"/"+c.name, func(t *testing.T) {
			at, stats := freePort(t), metrics.NewRegistry(metrics.Peer{}, metrics.Options{})
			l := inbound(c.mode, at)
			l.InspectTimeout = 0
			p, _ := start(t, proxy.Options{Identity: id, Series: stats},
				&proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}})
			got, _ := call(t, at, c.sent)
			if strings.HasPrefix(got, "\x15\x03") || c.cause != "" && c.cause != metrics.CausePlaintextToTLS {
				got = "" // an alert, or the server's half of a handshake
			}
			if got != c.back {
				t.Errorf("%d bytes came back: %.60q", len(got), got)
			}
			eventually(t, "the end", func() bool { return p.Connections() == 0 })
			failures := series(stats, "oarlock_handshake_failures_total")
			if c.cause == "" && len(failures) > 0 || c.cause != "" && !(len(failures) == 1 && strings.Contains(failures[0], `cause="`+c.cause+`"`)) {
				t.Errorf("failures %q, want %q", failures, c.cause)
			}
			lines := series(stats, "envoy_listener_no_filter_chain_match")
			if counted := len(lines) == 1 && strings.HasSuffix(lines[0], " 1"); counted != c.noChain {
				t.Errorf("no_filter_chain_match: %q, want %v", lines, c.noChain)
			}
		})
	}
}

// A hello that stops in the middle does not hold a connection for longer than the handshake may take.
func TestHandshakeTimeout(t *testing.T) {
	authority, at := meshtest.NewCA(t, nil, 0), freePort(t)
	l := inbound("STRICT", at)
	l.Chains[0].HandshakeTimeout = 150 * time.Millisecond
	stats := metrics.NewRegistry(metrics.Peer{}, metrics.Options{})
	start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), Series: stats},
		&proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("inbound|80||", echo(t), nil)}})
	c := dial(t, at)
	c.Write(hello(t, nil))
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	begin := time.Now()
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("it was closed after %v", took)
	}
	eventually(t, "the timeout is counted", func() bool {
		return len(series(stats, "oarlock_handshake_failures_total", `cause="`+metrics.CauseTimeout+`"`)) == 1
	})
}

// The client speaks late, or never: a server of a server-first protocol is not kept waiting for longer than the listener
// says, and what the client says then is carried.
func TestInspectTimeout(t *testing.T) {
	backend := scripted(t, func(_ int, c net.Conn) {
		io.WriteString(c, "220 ready\r\n")
		line := make([]byte, 6)
		io.ReadFull(c, line)
		c.Write(bytes.ToUpper(line))
	})
	for name, c := range map[string]struct {
		ports   proxy.Ports
		timeout time.Duration
	}{
		"looked at":             {proxy.Ports{On: true}, 300 * time.Millisecond},
		"not looked at (range)": {proxy.Ports{On: true, Except: [][2]uint16{{1, 65535}}}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			at := freePort(t)
			l := &proxy.Listener{Name: "l", Address: at, Bind: true, InspectTLS: c.ports, InspectHTTP: c.ports, InspectTimeout: c.timeout,
				Chains: []*proxy.FilterChain{{Name: "raw", Match: proxy.ChainMatch{Transport: proxy.TransportRaw}, TCP: tcpTo("c")}}}
			start(t, proxy.Options{}, &proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("c", backend, nil)}})
			conn := dial(t, at)
			begin := time.Now()
			conn.SetDeadline(begin.Add(30 * time.Second))
			if _, err := io.ReadFull(conn, make([]byte, 11)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took < 250*time.Millisecond && len(c.ports.Except) == 0 {
				t.Errorf("the server's first line came after %v", took)
			}
			io.WriteString(conn, "hello\n")
			if got, err := io.ReadAll(conn); string(got) != "HELLO\n" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// A request to an HTTP proxy door in every form, and what is none.
func TestProxyDoor(t *testing.T) {
	service, door := netip.MustParseAddrPort("10.96.0.7:80"), freePort(t)
	table := everywhere("api", nil)
	start(t, proxy.Options{Capture: proxy.Capture{Doors: []proxy.Door{{Listen: door, HTTPProxy: true}}, Names: map[string]netip.Addr{"api.shop": service.Addr()}}}, &proxy.Config{
		Listeners: []*proxy.Listener{
			{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), UseOriginalDst: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("nowhere")}}},
			{Name: "80", Address: netip.MustParseAddrPort("0.0.0.0:80"), Chains: []*proxy.FilterChain{{HTTP: &proxy.HTTPManager{Table: table}}}},
		},
		Clusters: []*proxy.Cluster{static("api", scripted(t, func(_ int, c net.Conn) {
			if req, _, err := readRequest(c); err == nil {
				text := req.Method + " " + req.Host + " " + req.RequestURI
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(text))+"\r\n\r\n"+text)
			}
		}), nil)},
	})
	for _, c := range []struct{ name, sent, want string }{
		{"absolute form", "GET http://api.shop/x?y HTTP/1.1\r\nHost: api.shop\r\n\r\n", "GET api.shop /x?y"},
		{"absolute form, other host", "GET http://api.shop/x HTTP/1.1\r\nHost: other\r\n\r\n", "GET api.shop /x"},
		{"absolute form, port", "GET http://api.shop:80/ HTTP/1.1\r\nHost: api.shop\r\n\r\n", "GET api.shop"},
		{"absolute form, IP", "GET http://10.96.0.7/ HTTP/1.1\r\nHost: 10.96.0.7\r\n\r\n", "GET 10.96.0.7 /"},
		{"capitals", "GET HTTP://API.shop/x HTTP/1.1\r\nHost: api.shop\r\n\r\n", " /x"},
		{"CONNECT", "CONNECT api.shop:80 HTTP/1.1\r\n\r\nGET /in HTTP/1.1\r\nHost: api.shop\r\n\r\n", "GET api.shop /in"},
		{"CONNECT, unknown", "CONNECT nobody:80 HTTP/1.1\r\n\r\n", "502 Bad Gateway"},
		{"CONNECT, no port", "CONNECT x:y HTTP/1.1\r\n\r\n", "400 Bad Request"},
		{"origin form", "GET / HTTP/1.1\r\nHost: api.shop\r\n\r\n", "400 Bad Request"},
		{"https", "GET https://api.shop/ HTTP/1.1\r\nHost: api.shop\r\n\r\n", "400 Bad Request"},
		{"no line", "\r\n\r\n", "400 Bad Request"},
		{"port too large", "GET http://api.shop:99999/ HTTP/1.1\r\n\r\n", "400 Bad Request"},
		{"cut off", "CONNECT api.shop:80 HTTP/1.1\r\n", "400 Bad Request"},
		{"too long", "GET http://api.shop/" + strings.Repeat("x", 16<<10-20) + "", "400 Bad Request"},
		{"hello", string(hello(t, nil)), "400 Bad Request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, door)
			for rest := c.sent; rest != ""; { // in two pieces
				n := (len(rest) + 1) / 2
				io.WriteString(conn, rest[:n])
				if rest = rest[n:]; len(rest) < 3 {
					io.WriteString(conn, rest)
					break
				}
			}
			if c.want == "400 Bad Request" {
				conn.(*net.TCPConn).CloseWrite()
			}
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			got := make([]byte, 0, 4096)
			for !strings.Contains(string(got), c.want) {
				n, err := conn.Read(got[len(got):cap(got)])
				got = got[:len(got)+n]
				if err != nil {
					break
				}
			}
			if !strings.Contains(string(got), c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The log says which connection found no chain, and why.
func TestNoChainIsLogged(t *testing.T) {
	at := freePort(t)
	l := inbound("STRICT", at)
	format, err := accesslog.ParseText("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n")
	if err != nil {
		t.Fatal(err)
	}
	l.AccessLog = []proxy.AccessLog{{Path: "/dev/stdout", Format: format}}
	_, logs := start(t, proxy.Options{Identity: identity(t, meshtest.NewCA(t, nil, 0), "shop", "api")},
		&proxy.Config{Listeners: []*proxy.Listener{l}, Clusters: []*proxy.Cluster{static("inbound|80||", echo(t), nil)}})
	call(t, at, "ahoy")
	eventually(t, "the line", func() bool {
		return strings.HasPrefix(logs.String(), "NR filter_chain_not_found TLS_error:|268435612:SSL") && strings.Contains(logs.String(), "HTTP_REQUEST")
	})
}
