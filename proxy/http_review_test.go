package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/proxy"
)

// acting is a server that does with each connection what a test says.
func acting(t *testing.T, script func(n int, c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				script(n, c)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// answering serves each request of a connection.
func answering(answer func(r *http.Request, c net.Conn)) func(int, net.Conn) {
	return func(_ int, c net.Conn) {
		for in := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			answer(r, c)
		}
	}
}

// plainHTTP is a proxy of plaintext HTTP in front of a server.
func plainHTTP(t *testing.T, to netip.AddrPort, manager *proxy.HTTPManager) netip.AddrPort {
	t.Helper()
	if manager.Table == nil {
		manager.Table = everywhere("c", nil)
	}
	at := freePort(t)
	start(t, proxy.Options{}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{HTTP: manager}}}},
		Clusters:  []*proxy.Cluster{static("c", to, nil)},
	})
	return at
}

// ask makes one request on a connection of its own and gives status and body.
func ask(t *testing.T, at netip.AddrPort, request string) (int, string) {
	t.Helper()
	c := dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// What a server sends behind a response is nobody's response.
func TestStrayBytesAreNoResponse(t *testing.T) {
	poison := "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
	for name, first := range map[string]struct{ request, head, late string }{
		"body to HEAD": {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n", len(poison)), poison},
		"304 chunked":  {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", "0\r\n\r\n"},
		"after a body": {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", poison},
	} {
		t.Run(name, func(t *testing.T) {
			answered, sent := make(chan struct{}), make(chan struct{})
			to := acting(t, answering(func(r *http.Request, c net.Conn) {
				if r.URL.Path == "/next" {
					io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext")
					return
				}
				io.WriteString(c, first.head)
				<-answered
				io.WriteString(c, first.late)
				close(sent)
			}))
			at := plainHTTP(t, to, &proxy.HTTPManager{})
			ask(t, at, first.request)
			close(answered)
			<-sent
			if code, body := ask(t, at, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"); code != 200 || body != "next" {
				t.Errorf("the next request got %d %q", code, body)
			}
		})
	}
}

// gathered is a connection whose writes go out together, at flush, once that was asked for.
type gathered struct {
	net.Conn
	on   bool
	kept []byte
}

func (g *gathered) Write(p []byte) (int, error) {
	if !g.on {
		return g.Conn.Write(p)
	}
	g.kept = append(g.kept, p...)
	return len(p), nil
}

func (g *gathered) flush() {
	g.Conn.Write(g.kept)
	g.kept = nil
}

// The same beneath TLS, which reads more than one record at a time and keeps what nobody has asked for.
func TestStrayRecordIsNoResponse(t *testing.T) {
	authority := meshtest.NewCA(t, nil, 0)
	to := acting(t, func(n int, c net.Conn) {
		g := &gathered{Conn: c}
		s := tls.Server(g, authority.ServerTLS())
		if err := s.Handshake(); err != nil {
			t.Error(err)
		}
		g.on = true
		for in := bufio.NewReader(s); ; g.flush() {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			fmt.Fprintf(s, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d", n)
			io.WriteString(s, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
		}
	})
	at := freePort(t)
	start(t, proxy.Options{}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{HTTP: &proxy.HTTPManager{Table: everywhere("c", nil)}}}}},
		Clusters:  []*proxy.Cluster{static("c", to, &proxy.ClientTLS{})},
	})
	for n, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" + strings.Repeat("x", 30000)} {
		if code, body := ask(t, at, request); code != 200 || body != fmt.Sprint(n) {
			t.Errorf("request %d got %d %q", n, code, body)
		}
	}
}

// A connection that was a tunnel carries no request after it, whatever its head said of a length.
func TestTunnelIsNotPooled(t *testing.T) {
	to := acting(t, func(n int, c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		if n > 0 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	at := plainHTTP(t, to, &proxy.HTTPManager{Upgrades: []string{"websocket"}})
	c := dial(t, at)
	io.WriteString(c, "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
	if _, err := c.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	time.Sleep(50 * time.Millisecond)
	if code, body := ask(t, at, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"); code != 200 || body != "ok" {
		t.Errorf("the next request got %d %q", code, body)
	}
}

// A host that nobody knows is not this machine.
func TestUnknownHostIsNotLoopback(t *testing.T) {
	to := acting(t, answering(func(_ *http.Request, c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nvictim")
	}))
	at := freePort(t)
	start(t, proxy.Options{Capture: proxy.Capture{Doors: []proxy.Door{{Listen: at, HTTPProxy: true}}}}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "virtualOutbound", Address: netip.MustParseAddrPort("0.0.0.0:15001"), Bind: true, OriginalDst: true, UseOriginalDst: true,
			Chains: []*proxy.FilterChain{{TCP: tcpTo("PassthroughCluster")}}}},
		Clusters: []*proxy.Cluster{{Name: "PassthroughCluster", Discovery: proxy.OriginalDst}},
	})
	got, _ := call(t, at, fmt.Sprintf("GET http://unknown.invalid:%d/ HTTP/1.1\r\nHost: unknown.invalid\r\n\r\n", to.Port()))
	if strings.Contains(got, "victim") {
		t.Errorf("a server on loopback answered for a host that nobody knows: %q", got)
	}
}

// Routes and the application see one path.
func TestPathsAreNormal(t *testing.T) {
	to := acting(t, answering(func(r *http.Request, c net.Conn) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s", len(r.RequestURI), r.RequestURI)
	}))
	table := &proxy.RouteTable{Hosts: []*proxy.VirtualHost{{Domains: []string{"*"}, Routes: []*proxy.Route{
		{Match: proxy.RouteMatch{Prefix: "/admin"}, Direct: &proxy.DirectResponse{Status: 403}},
		{Match: proxy.RouteMatch{Prefix: "/"}, Clusters: []proxy.WeightedCluster{{Name: "c"}}}}}}}
	normal := plainHTTP(t, to, &proxy.HTTPManager{Table: table, NormalizePath: true})
	merged := plainHTTP(t, to, &proxy.HTTPManager{Table: table, NormalizePath: true, MergeSlashes: true})
	verbatim := plainHTTP(t, to, &proxy.HTTPManager{Table: table})
	for _, c := range []struct {
		at       netip.AddrPort
		in, want string // "" is refused
	}{
		{normal, "/admin", ""}, {normal, "/x/../admin", ""}, {normal, "/./admin", ""}, {normal, "/%61dmin?q=%2e", ""}, {normal, "/%2e%2E/admin", ""},
		{normal, "//admin", "//admin"}, {merged, "//admin", ""}, {merged, "/a//b///c", "/a/b/c"},
		{normal, "/a/./b/../c?x=/../y", "/a/c?x=/../y"}, {normal, "/a/..", "/"}, {normal, "/a/.", "/a/"}, {normal, "/../..", "/"},
		{normal, "/a%2Fb", "/a%2Fb"}, {normal, "/...", "/..."}, {normal, "/a..b/.c", "/a..b/.c"}, {normal, "/~%7e", "/~~"},
		{verbatim, "/x/../admin", "/x/../admin"}, {verbatim, "/%61dmin", "/%61dmin"},
	} {
		code, body := ask(t, c.at, "GET "+c.in+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if c.want == "" && code != 403 || c.want != "" && body != c.want {
			t.Errorf("%s: %d %q, want %q", c.in, code, body, c.want)
		}
	}
}

// What strangers say of themselves does not fill the memory.
func TestMetadataIsBounded(t *testing.T) {
	to := acting(t, answering(func(_ *http.Request, c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }))
	at := freePort(t)
	start(t, proxy.Options{}, &proxy.Config{
		Listeners: []*proxy.Listener{{Name: "in", Direction: proxy.Inbound, Address: at, Bind: true, Chains: []*proxy.FilterChain{{HTTP: &proxy.HTTPManager{Table: everywhere("c", nil), PeerExchange: true}}}}},
		Clusters:  []*proxy.Cluster{static("c", to, nil)},
	})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := dial(t, at)
	r := bufio.NewReader(c)
	for i, size := range []int{56 << 10, 7 << 10} {
		pad := strings.Repeat("A", size)
		for n := range 500 {
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nx-envoy-peer-metadata-id: x\r\nx-envoy-peer-metadata: %d%06d%s\r\n\r\n", i, n, pad)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 200 {
				t.Fatal(n, err)
			}
		}
	}
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
}

// At the edge, a client is believed nothing that proxies tell each other.
func TestEdgeHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	to := acting(t, answering(func(r *http.Request, c net.Conn) {
		got <- r.Header
		io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	}))
	at := plainHTTP(t, to, &proxy.HTTPManager{RemoteAddress: true})
	ask(t, at, "GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Internal: true\r\nx-envoy-original-path: /x\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nx-mine: 1\r\n\r\n")
	h := <-got
	if h.Get("X-Envoy-Internal") != "" || h.Get("X-Envoy-Original-Path") != "" {
		t.Errorf("the application got %v", h)
	}
	if f := h.Get("X-Forwarded-For"); !strings.HasPrefix(f, "1.1.1.1,2.2.2.2,127.") {
		t.Errorf("x-forwarded-for = %q", f)
	}
	if h.Get("X-Mine") != "1" {
		t.Error("a header of the client's own is lost")
	}
}
