package sniff

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A feed is a connection that gives its pieces, one a read, and then the end of the stream or err.
type feed struct {
	net.Conn
	pieces [][]byte
	err    error
	reads  int
}

func (f *feed) Read(p []byte) (int, error) {
	f.reads++
	if len(f.pieces) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		return 0, io.EOF
	}
	n := copy(p, f.pieces[0])
	if f.pieces[0] = f.pieces[0][n:]; len(f.pieces[0]) == 0 {
		f.pieces = f.pieces[1:]
	}
	return n, nil
}

func (f *feed) Write(p []byte) (int, error)     { panic("sniffing writes nothing") }
func (f *feed) Close() error                    { panic("sniffing closes nothing") }
func (f *feed) SetReadDeadline(time.Time) error { return nil }

// inPieces cuts b into pieces of n bytes.
func inPieces(b []byte, n int) [][]byte { return slices.Collect(slices.Chunk(b, n)) }

// clientHello gives what a client of crypto/tls sends first.
func clientHello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	cfg.InsecureSkipVerify = true
	go func() {
		tls.Client(theirs, cfg).Handshake()
		theirs.Close()
	}()
	var head [5]byte
	if _, err := io.ReadFull(ours, head[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	return append(head[:], body...)
}

// fragmented cuts the handshake message of one record into records of n bytes.
func fragmented(record []byte, n int) []byte {
	var out []byte
	for part := range slices.Chunk(record[5:], n) {
		out = append(out, record[0], record[1], record[2], byte(len(part)>>8), byte(len(part)))
		out = append(out, part...)
	}
	return out
}

func istioHello(t testing.TB) []byte {
	return clientHello(t, &tls.Config{
		ServerName: "outbound_.9080_._.Reviews.bookinfo.svc.cluster.local",
		NextProtos: []string{"istio-peer-exchange", "istio"},
	})
}

func TestSniff(t *testing.T) {
	hello := istioHello(t)
	long := strings.Repeat("x", MaxPeek)
	tests := []struct {
		name  string
		bytes string
		want  Protocol
	}{
		{"hello", string(hello), TLS},
		{"hello and more", string(hello) + "early", TLS},
		{"hello in fragments", string(fragmented(hello, 7)), TLS},
		{"hello cut off", string(hello[:len(hello)-1]), Other},
		{"hello with a byte wrong", string(hello[:5]) + "\x02" + string(hello[6:]), Other},
		{"one byte of TLS", "\x16", Other},
		{"record of another major version", "\x16\x02\x01\x00\x05hello", Other},
		{"alert", "\x15\x03\x01\x00\x02\x02\x28", Other},
		{"SSLv2 hello", "\x80\x2e\x01\x00\x02\x00\x15", Other},
		{"record too long", "\x16\x03\x01\xff\xff" + long, Other},
		{"hello longer than the buffer", "\x16\x03\x01\x40\x00\x01\x00\xff\xff" + long, Other},
		{"get", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1},
		{"http/1.0", "POST /x?y=1 HTTP/1.0\r\n\r\n", HTTP1},
		{"bare line feed", "GET / HTTP/1.1\n", HTTP1},
		{"own method", "M-SEARCH * HTTP/1.1\r\n", HTTP1},
		{"connect", "CONNECT a:443 HTTP/1.1\r\n", HTTP1},
		{"http/0.9", "GET /\r\n", Other},
		{"http/2 named in a request line", "GET / HTTP/2.0\r\n", Other},
		{"long version", "GET / HTTP/1.10\r\n", Other},
		{"two blanks", "GET  / HTTP/1.1\r\n", Other},
		{"carriage return within", "GET /\r HTTP/1.1\r\n", Other},
		{"zero byte within", "GET /\x00 HTTP/1.1\r\n", Other},
		{"cut off in a path", "GET /index", HTTP1},
		{"cut off before the path", "GET ", Other},
		{"cut off, unknown method", "FETCH /index", Other},
		{"cut off, no path", "GET key", Other},
		{"path longer than the buffer", "GET /" + long, HTTP1},
		{"method too long", long, Other},
		{"redis", "GET key\r\n", Other},
		{"redis array", "*1\r\n$4\r\nPING\r\n", Other},
		{"rtsp", "OPTIONS rtsp://a/b RTSP/1.0\r\n", Other},
		{"sip", "OPTIONS sip:a@b SIP/2.0\r\n", Other},
		{"ssh", "SSH-2.0-OpenSSH_9.2\r\n", Other},
		{"preface", preface, HTTP2},
		{"preface and frames", preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", HTTP2},
		{"first line of the preface", preface[:prefaceLine], HTTP2},
		{"begin of the preface", preface[:prefaceLine-1], Other},
		{"nearly the preface", preface[:prefaceLine] + "\r\nSX", Other},
		{"binary", "\x00\x00\x00\x01", Other},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 3, 255, 256, 257, 1 << 20} {
				c := NewConn(&feed{pieces: inPieces([]byte(tt.bytes), size)})
				got, err := c.Sniff(Limits{})
				if err != nil || got.Protocol != tt.want {
					t.Fatalf("pieces of %d: got %v, %v, problem %v; want %v", size, got.Protocol, err, got.Problem, tt.want)
				}
				if (got.Hello != nil) != (got.Protocol == TLS) {
					t.Errorf("hello is %v", got.Hello)
				}
				if again, _ := c.Sniff(Limits{}); again != got {
					t.Errorf("a second call gives %v", again)
				}
				checkReplay(t, c, tt.bytes)
			}
		})
	}
}

func checkReplay(t *testing.T, c *Conn, want string) {
	t.Helper()
	if n := len(c.Buffered()); n > MaxPeek || !strings.HasPrefix(want, string(c.Buffered())) {
		t.Errorf("%d bytes are buffered, not the first ones", n)
	}
	all, err := io.ReadAll(c)
	if err != nil || string(all) != want {
		t.Errorf("read %d bytes and %v after sniffing, want the %d that were sent", len(all), err, len(want))
	}
	if c.page != nil {
		t.Error("the page was not given back")
	}
}

func TestHello(t *testing.T) {
	c := NewConn(&feed{pieces: [][]byte{istioHello(t)}})
	r, err := c.Sniff(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "outbound_.9080_._.reviews.bookinfo.svc.cluster.local"; r.Hello.ServerName != want {
		t.Errorf("server name %q, want %q", r.Hello.ServerName, want)
	}
	if want := []string{"istio-peer-exchange", "istio"}; !slices.Equal(r.Hello.ALPN, want) {
		t.Errorf("ALPN %q, want %q", r.Hello.ALPN, want)
	}
	if want := []uint16{tls.VersionTLS13, tls.VersionTLS12}; !slices.Equal(r.Hello.Versions, want) {
		t.Errorf("versions %x, want %x", r.Hello.Versions, want)
	}

	old := clientHello(t, &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11})
	r, err = NewConn(&feed{pieces: [][]byte{old}}).Sniff(Limits{})
	if err != nil || r.Hello == nil || r.Hello.Versions[0] != tls.VersionTLS11 || r.Hello.ServerName != "" || r.Hello.ALPN != nil {
		t.Errorf("TLS 1.1 without extensions: %+v, %v", r.Hello, err)
	}
}

// TestLongHello sniffs a hello that is many times as long as the usual buffer: one whole record.
func TestLongHello(t *testing.T) {
	var protos []string
	for range 67 {
		protos = append(protos, strings.Repeat("p", 210))
	}
	hello := clientHello(t, &tls.Config{NextProtos: protos})
	if len(hello) < 15000 || len(hello) > MaxPeek {
		t.Fatalf("the hello has %d bytes", len(hello))
	}
	c := NewConn(&feed{pieces: inPieces(hello, 1400)})
	r, err := c.Sniff(Limits{})
	if err != nil || r.Protocol != TLS || len(r.Hello.ALPN) != len(protos) {
		t.Fatalf("got %v, %v", r, err)
	}
	checkReplay(t, c, string(hello))
}

func TestProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes string
		want  error
	}{
		"too long": {"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 2*MaxPeek), ErrHelloTooLong},
		"cut off":  {string(istioHello(t)[:100]), io.ErrUnexpectedEOF},
	} {
		r, err := NewConn(&feed{pieces: [][]byte{[]byte(tt.bytes)}}).Sniff(Limits{})
		if err != nil || !errors.Is(r.Problem, tt.want) {
			t.Errorf("%s: problem %v, %v; want %v", name, r.Problem, err, tt.want)
		}
	}
}

func TestFailedConnection(t *testing.T) {
	reset := errors.New("connection reset")
	for _, sent := range []string{"", "GET /", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\n"} {
		f := &feed{err: reset}
		if sent != "" {
			f.pieces = [][]byte{[]byte(sent)}
		}
		c := NewConn(f)
		r, err := c.Sniff(Limits{})
		if !errors.Is(err, reset) || r.Protocol != Unknown {
			t.Errorf("after %q: %v, %v", sent, r, err)
		}
		reads := f.reads
		if _, again := c.Sniff(Limits{}); again != err || f.reads != reads {
			t.Errorf("after %q: a second call gives %v after %d reads", sent, again, f.reads-reads)
		}
	}
	if _, err := NewConn(&feed{}).Sniff(Limits{}); err != io.EOF {
		t.Errorf("a stream without a byte: %v, want io.EOF", err)
	}
	// An empty piece is a read without a byte; one that never gives any must not hold us.
	empty := make([][]byte, 1)
	if _, err := NewConn(&stuck{feed{pieces: empty}}).Sniff(Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reads without a byte: %v", err)
	}
}

type stuck struct{ feed }

func (s *stuck) Read([]byte) (int, error) { return 0, nil }

// TestDeadlines runs in fake time: what is told when a client stops speaking, and when.
func TestDeadlines(t *testing.T) {
	limits := Limits{FirstByte: 100 * time.Millisecond, Rest: 3 * time.Second}
	for _, tt := range []struct {
		name  string
		sends []string // one a second
		want  Protocol
		after time.Duration
	}{
		{"silent", nil, ServerFirst, limits.FirstByte},
		{"hangs in a path", []string{"GET /a"}, HTTP1, limits.Rest},
		{"hangs in a hello", []string{"\x16\x03\x01\x02\x00\x01"}, Other, limits.Rest},
		{"hangs in the preface", []string{"PRI * HT"}, Other, limits.Rest},
		{"trickles", []string{"G", "E", "T", " ", "/"}, Other, limits.Rest},
		{"comes in time", []string{"G", "ET / HTTP/1.1\r\n"}, HTTP1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer server.Close()
				go func() {
					defer client.Close()
					for i, s := range tt.sends {
						if i > 0 {
							time.Sleep(time.Second)
						}
						io.WriteString(client, s)
					}
					time.Sleep(time.Minute)
					io.WriteString(client, "!")
				}()
				begin := time.Now()
				c := NewConn(server)
				r, err := c.Sniff(limits)
				if err != nil || r.Protocol != tt.want || time.Since(begin) != tt.after {
					t.Errorf("%v, %v after %v; want %v after %v", r.Protocol, err, time.Since(begin), tt.want, tt.after)
				}
				// No deadline is left behind: what comes a minute later is still read.
				all, err := io.ReadAll(c)
				if want := strings.Join(tt.sends, "") + "!"; err != nil || string(all) != want {
					t.Errorf("read %q, %v; want %q", all, err, want)
				}
			})
		})
	}
}

func TestNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close() // a pipe whose other end is closed takes no deadline
		go func() {
			time.Sleep(24 * time.Hour)
			io.WriteString(client, "GE")
			time.Sleep(24 * time.Hour)
			io.WriteString(client, "T / HTTP/1.1\r\n")
		}()
		r, err := NewConn(server).Sniff(Limits{Rest: -1})
		if err != nil || r.Protocol != HTTP1 {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func TestDiscard(t *testing.T) {
	f := &feed{pieces: [][]byte{[]byte("GET / HTTP/1.1\r\n"), []byte("rest")}}
	c := NewConn(f)
	if _, err := c.Sniff(Limits{}); err != nil {
		t.Fatal(err)
	}
	ahead := bytes.Clone(c.Buffered())
	c.Discard()
	rest, err := io.ReadAll(c.NetConn())
	if string(ahead)+string(rest) != "GET / HTTP/1.1\r\nrest" || err != nil {
		t.Errorf("%q then %q, %v", ahead, rest, err)
	}
}

func TestWords(t *testing.T) {
	for p := Unknown; p <= Other; p++ {
		if s := p.String(); s == "" || strings.HasPrefix(s, "protocol") {
			t.Errorf("protocol %d is called %q", p, s)
		}
	}
	if got := Protocol(99).String(); got != "protocol 99" {
		t.Errorf("got %q", got)
	}
}

// Where only TLS counts, a first byte that is none of TLS's is enough.
func TestSniffOnlyTLS(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go client.Write([]byte("G"))
	c := NewConn(server)
	r, err := c.Sniff(Limits{Rest: time.Hour, OnlyTLS: true})
	if r.Protocol != Other || err != nil || string(c.Buffered()) != "G" {
		t.Errorf("Sniff = %v, %v with %q", r.Protocol, err, c.Buffered())
	}
	go client.Write([]byte("ET / HTTP/1.1\r\n\r\n"))
	if r, err := c.Sniff(Limits{}); r.Protocol != HTTP1 || err != nil {
		t.Errorf("asked for more: %v, %v with %q", r.Protocol, err, c.Buffered())
	}
}
