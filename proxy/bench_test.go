package proxy_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
)

// sink takes what it is sent and says nothing, until the test ends.
func sink(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 256<<10)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// BenchmarkTCPStream is one connection through both sidecars, 256 KB at a time.
func BenchmarkTCPStream(b *testing.B) {
	p := newPairTo(b, "STRICT", clientTLS("istio"), sink(b))
	c := dial(b, p.door)
	chunk := make([]byte, 256<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := c.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTCPConnect is a connection each, with a resumed session between the sidecars.
func BenchmarkTCPConnect(b *testing.B) {
	p := newPairTo(b, "STRICT", clientTLS("istio"), echo(b))
	for b.Loop() {
		c, err := net.Dial("tcp", p.door.String())
		if err != nil {
			b.Fatal(err)
		}
		io.WriteString(c, "x")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
