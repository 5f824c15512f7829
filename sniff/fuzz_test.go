package sniff

import (
	"io"
	"strings"
	"testing"
)

// FuzzSniff holds for whatever a client sends: the answer does not depend on the pieces in which it comes, every byte is
// read afterwards, and no more than MaxPeek are held.
func FuzzSniff(f *testing.F) {
	hello := istioHello(f)
	for _, s := range []string{string(hello), string(fragmented(hello, 9)), "GET / HTTP/1.1\r\n\r\n", preface, "SSH-2.0-x\r\n", "\x16\x03",
		"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", MaxPeek)} {
		f.Add([]byte(s), uint16(1))
		f.Add([]byte(s), uint16(300))
	}
	f.Fuzz(func(t *testing.T, sent []byte, size uint16) {
		if len(sent) == 0 {
			return
		}
		whole, err := NewConn(&feed{pieces: [][]byte{sent}}).Sniff(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		source := &feed{pieces: inPieces(sent, max(int(size), 1))}
		c := NewConn(source)
		got, err := c.Sniff(Limits{})
		if err != nil || got.Protocol != whole.Protocol {
			t.Fatalf("in pieces of %d: %v, %v; whole: %v", size, got.Protocol, err, whole.Protocol)
		}
		if n := len(c.Buffered()); n > MaxPeek {
			t.Fatalf("%d bytes are held", n)
		}
		if all, err := io.ReadAll(c); err != nil || string(all) != string(sent) {
			t.Fatalf("read %q, %v", all, err)
		}
	})
}
