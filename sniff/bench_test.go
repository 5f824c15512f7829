package sniff

import (
	"net"
	"testing"
	"time"
)

// again is a connection that gives the same bytes to everybody.
type again struct {
	net.Conn
	bytes []byte
	at    int
}

func (a *again) Read(p []byte) (int, error) {
	n := copy(p, a.bytes[a.at:])
	a.at += n
	return n, nil
}

func (a *again) SetReadDeadline(time.Time) error { return nil }

// sniffed are what the benchmark and the allocation test sniff; allocations count NewConn, which is one.
func sniffed(t testing.TB) map[string]struct {
	bytes       []byte
	allocations float64
} {
	type row = struct {
		bytes       []byte
		allocations float64
	}
	return map[string]row{
		"http1": {[]byte("GET /productpage HTTP/1.1\r\nHost: productpage:9080\r\n\r\n"), 1},
		"http2": {[]byte(preface), 1},
		"other": {[]byte("\x00\x00\x00\x2bhello"), 1},
		// Of crypto/tls, by measurement with Go 1.26; the limit is there to notice when it doubles.
		"tls": {istioHello(t), 60},
	}
}

func sniffOnce(t testing.TB, a *again) {
	a.at = 0
	c := NewConn(a)
	if _, err := c.Sniff(Limits{}); err != nil {
		t.Fatal(err)
	}
	c.Discard()
}

func TestAllocations(t *testing.T) {
	for name, s := range sniffed(t) {
		a := &again{bytes: s.bytes}
		if got := testing.AllocsPerRun(100, func() { sniffOnce(t, a) }); got > s.allocations {
			t.Errorf("%s: %v allocations, at most %v", name, got, s.allocations)
		}
	}
}

func BenchmarkSniff(b *testing.B) {
	for name, s := range sniffed(b) {
		b.Run(name, func(b *testing.B) {
			a := &again{bytes: s.bytes}
			b.ReportAllocs()
			for b.Loop() {
				sniffOnce(b, a)
			}
		})
	}
}
