package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
)

// quickServer answers every request with the same bytes, and makes no garbage.
func quickServer(t testing.TB) netip.AddrPort {
	t.Helper()
	answer := []byte("HTTP/1.1 200 OK\r\nServer: quick\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world")
	return scripted(t, func(_ int, c net.Conn) {
		buf := make([]byte, 4096)
		for n := 0; ; {
			m, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			n += m
			for {
				i := bytes.Index(buf[:n], []byte("\r\n\r\n"))
				if i < 0 {
					break
				}
				n = copy(buf, buf[i+4:n])
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	})
}

// A quickClient sends the same request again and again, and makes no garbage.
type quickClient struct {
	c   net.Conn
	buf []byte
	n   int
}

var quickRequest = []byte("GET /some/path?and=query HTTP/1.1\r\nHost: api.shop.svc.cluster.local\r\nUser-Agent: quick/1.0\r\nAccept: */*\r\n\r\n")

func newQuickClient(t testing.TB, at netip.AddrPort) *quickClient {
	return &quickClient{c: dial(t, at), buf: make([]byte, 4096)}
}

func (q *quickClient) do(t testing.TB) {
	if _, err := q.c.Write(quickRequest); err != nil {
		t.Fatal(err)
	}
	for q.n = 0; !bytes.HasSuffix(q.buf[:q.n], []byte("hello, world")); {
		m, err := q.c.Read(q.buf[q.n:])
		if err != nil {
			t.Fatal(err)
		}
		q.n += m
	}
	if !bytes.HasPrefix(q.buf, []byte("HTTP/1.1 200 OK\r\n")) {
		t.Fatalf("%q", q.buf[:q.n])
	}
}

// TestNoGarbage holds that a request on a connection in use allocates nothing in the proxy, with log and series; TLS makes
// one small thing for each record that it reads.
func TestNoGarbage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what pools keep")
	}
	plain, _, _ := plainProxy(t, quickServer(t), nil)
	for _, c := range []struct {
		name string
		at   netip.AddrPort
		most float64
	}{{"plain", plain, 0.5}, {"pair", newHTTPPair(t, quickServer(t), nil).door, 4.5}} {
		q := newQuickClient(t, c.at)
		for range 500 {
			q.do(t)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const n = 3000
		for range n {
			q.do(t)
		}
		runtime.ReadMemStats(&after)
		if per := float64(after.Mallocs-before.Mallocs) / n; per > c.most {
			t.Errorf("%s: %.2f allocations for each request, at most %.1f", c.name, per, c.most)
		}
	}
}

// TestIdleMemory holds many idle connections. What the kernel has of them does not count.
func TestIdleMemory(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("slow, and the race detector takes memory of its own")
	}
	const n = 400
	at, _, _ := plainProxy(t, quickServer(t), nil)
	warm := newQuickClient(t, at)
	warm.do(t)
	clients := make([]*quickClient, n)
	settled := func() int64 {
		var m runtime.MemStats
		for range 4 { // stacks shrink by half each time
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := settled()
	for i := range clients {
		clients[i] = newQuickClient(t, at)
		clients[i].do(t)
	}
	const own = 4096 + 700 // the client's end is in this process too: its buffer, and a connection much like the proxy's
	eventually(t, "connections that are idle, and take at most 8 KB each", func() bool {
		per := (settled()-before)/n - own
		t.Logf("an idle connection takes %d bytes", per)
		return per <= 8<<10
	})
	runtime.KeepAlive(clients)
}

// BenchmarkHTTP1 sends requests over connections in use, through one proxy in plaintext and through a pair with mTLS.
func BenchmarkHTTP1(b *testing.B) {
	for _, c := range []struct {
		name string
		at   func(b *testing.B) netip.AddrPort
	}{
		{"direct", func(b *testing.B) netip.AddrPort { return quickServer(b) }},
		{"plain", func(b *testing.B) netip.AddrPort { at, _, _ := plainProxy(b, quickServer(b), nil); return at }},
		{"pair", func(b *testing.B) netip.AddrPort { return newHTTPPair(b, quickServer(b), nil).door }},
	} {
		b.Run(c.name, func(b *testing.B) {
			at := c.at(b)
			newQuickClient(b, at).do(b)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				q := newQuickClient(b, at)
				for pb.Next() {
					q.do(b)
				}
			})
		})
	}
}

// BenchmarkHTTP1Connect makes a connection for each request.
func BenchmarkHTTP1Connect(b *testing.B) {
	p := newHTTPPair(b, quickServer(b), nil)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", p.door.String())
		if err != nil {
			b.Fatal(err)
		}
		q := &quickClient{c: c, buf: make([]byte, 4096)}
		q.do(b)
		c.Close()
	}
}

// BenchmarkHTTP1Download carries a large body through a pair.
func BenchmarkHTTP1Download(b *testing.B) {
	const size = 16 << 20
	p := newHTTPPair(b, scripted(b, func(_ int, c net.Conn) {
		r := bufio.NewReader(c)
		block := make([]byte, 64<<10)
		for {
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n")
			for sent := 0; sent < size; sent += len(block) {
				c.Write(block)
			}
		}
	}), nil)
	c := dial(b, p.door)
	b.SetBytes(size)
	buf := make([]byte, 256<<10)
	for b.Loop() {
		c.Write(quickRequest)
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		head := bytes.Index(buf[:n], []byte("\r\n\r\n")) + 4
		for n -= head; n < size; {
			m, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}
