package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A pieces gives its bytes a few at a time.
type pieces struct {
	b    []byte
	size int
}

func (p *pieces) read(to []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(to[:min(len(to), p.size)], p.b)
	p.b = p.b[n:]
	return n, nil
}

// A parsed is a message as this package reads it.
type parsed struct {
	head     head
	wire     wire
	body     []byte
	trailers head
	rest     int // bytes after the message
}

var testLimits = headLimits{fields: DefaultMaxHeaders, size: DefaultMaxHeaderSize}

// parse reads one message; size is how many bytes come at a time.
func parse(data []byte, kind headKind, size int) (*parsed, error) {
	p := &parsed{}
	src := &pieces{data, size}
	p.head.reset(&p.wire, kind)
	for {
		done, bad := p.head.scan(testLimits)
		if bad != nil {
			return nil, bad
		}
		if done {
			break
		}
		if err := p.wire.fill(src); err == errBufferFull {
			if !p.wire.grow(testLimits.size + smallBuffer) {
				return nil, p.head.tooLong()
			}
		} else if err != nil {
			return nil, err
		}
	}
	p.wire.r, p.wire.base = p.head.next, p.head.next
	var b body
	b.limits = testLimits
	switch {
	case p.head.chunked:
		b.start(chunkedBody, -1, &p.trailers)
	case p.head.length >= 0:
		b.start(sizedBody, p.head.length, &p.trailers)
	case kind == responseHead && p.head.status >= 200 && p.head.status != 204 && p.head.status != 304:
		b.start(closedBody, -1, &p.trailers)
	}
	if kind == responseHead && (p.head.status < 200 || p.head.status == 204 || p.head.status == 304) {
		b.kind = noBody
	}
	if len(p.wire.buf)-p.wire.base < maxTrailers {
		p.wire.grow(p.wire.base + largeBuffer/2)
	}
	return p, p.readBody(&b, src)
}

func (p *parsed) readBody(b *body, src *pieces) error {
	buf := make([]byte, 777)
	for !b.over() {
		n, err := b.read(&p.wire, buf, src)
		p.body = append(p.body, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	p.rest = len(p.wire.unread()) + len(src.b)
	return nil
}

// smuggled are requests about which two servers could disagree, or which are plainly broken. Each has the status with which
// it is refused.
var smuggled = []struct {
	name, request string
	status        int
}{
	{"CL.TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400},
	{"TE.CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n", 400},
	{"TE.TE", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400},
	{"two chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding list", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
	{"coding identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501},
	{"coding xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
	{"coding with a tab before its colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400},
	{"coding with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400},
	{"coding empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400},
	{"coding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	{"obs-fold", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
	{"obs-fold with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", 400},
	{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
	{"bare LF in headers", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n", 400},
	{"bare CR before the end", "GET / HTTP/1.1\r\nHost: a\r\n\rX: a\r\n\r\n", 400},
	{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400},
	{"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\x00: ab\r\n\r\n", 400},
	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"differing lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400},
	{"equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
	{"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400},
	{"length with a plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400},
	{"length with a minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400},
	{"length with a blank", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc", 400},
	{"length in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400},
	{"length empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", 400},
	{"length that overflows", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", 400},
	{"length in other digits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa3\r\n\r\nabc", 400},
	{"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
	{"space before a length's colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400},
	{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
	{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400},
	{"blank first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
	{"blank in a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400},
	{"byte beyond ASCII in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n", 400},
	{"HTTP/0.9", "GET /\r\n\r\n", 400},
	{"no version", "GET / \r\nHost: a\r\n\r\n", 400},
	{"version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
	{"version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	{"version 3", "GET / HTTP/3\r\nHost: a\r\n\r\n", 400},
	{"version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	{"version with more digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
	{"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"blank after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
	{"tab for a blank", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"method with a bracket", "GE[T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"empty method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"empty line first", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"broken percent sign", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400},
	{"ftp target", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"user in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"target without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"port that is no number", "GET http://b:80bx HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"two ports", "GET http://b:80:90/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"brackets behind a host", "GET http://b[::1]/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"bracket that stays open", "GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"no IPv6 in brackets", "GET http://[1.2.3.4]/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"bytes behind brackets", "GET http://[::1]x:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"percent sign in a host", "GET http://a%41/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	{"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
	{"Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	{"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
	{"chunk with a sign", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", 400},
	{"chunk in 0x", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400},
	{"chunk with a blank", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", 400},
	{"chunk that overflows", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", 400},
	{"huge chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n", 400},
	{"chunk ended by LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400},
	{"chunk longer than it says", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
	{"chunk data ended by LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n", 400},
	{"empty chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", 400},
	{"long extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=" + strings.Repeat("y", 300) + "\r\nabc\r\n0\r\n\r\n", 400},
	{"many extensions", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;x="+strings.Repeat("y", 200)+"\r\na\r\n", 200) + "0\r\n\r\n", 400},
	{"extension with CR", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\rx\r\nabc\r\n0\r\n\r\n", 400},
	{"trailer folded", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n", 400},
	{"trailer without a colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n", 400},
	{"many headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n", 431},
	{"large headers", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 61<<10) + "\r\n\r\n", 431},
	{"long target", "GET /" + strings.Repeat("y", 61<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
}

// TestRefusals reads each of the corpus at once and byte by byte.
func TestRefusals(t *testing.T) {
	for _, c := range smuggled {
		for _, size := range []int{1, 7, 1 << 20} {
			_, err := parse([]byte(c.request), requestHead, size)
			bad, ok := err.(*refusal)
			if !ok || bad.status != c.status {
				t.Errorf("%s, %d bytes at a time: %v, want a refusal with %d", c.name, size, err, c.status)
			}
		}
	}
}

// wellFormed are requests that are taken, to begin fuzzing with.
var wellFormed = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a%20b?c=%zz HTTP/1.0\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a:80\r\nX:\r\nX:  y \t\r\n\r\n",
	"GET http://b:80?x HTTP/1.1\r\nHost: a\r\n\r\nrest",
	"GET http://[::1]:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET https://b: HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-T: u\r\n\r\nrest",
	"PUT / HTTP/1.1\r\nHost:\r\nConnection: close, x\r\nContent-Length: 0\r\n\r\n",
}

func TestWellFormed(t *testing.T) {
	for _, r := range wellFormed {
		for _, size := range []int{1, 3, 1 << 20} {
			if _, err := parse([]byte(r), requestHead, size); err != nil {
				t.Errorf("%q, %d bytes at a time: %v", r, size, err)
			}
			sameRequest(t, []byte(r), size)
		}
	}
}

// sameRequest holds that what we take, net/http takes too, and reads as the same request with the same body and the same
// rest. The other way round it is stricter here: net/http takes
//   - Content-Length beside Transfer-Encoding, and equal lengths several times;
//   - lines that end with LF alone, and folded headers;
//   - Transfer-Encoding in HTTP/1.0, which it ignores;
//   - blanks after a chunk's size, longer extensions, and more of them;
//   - a fragment in the target, CONNECT, and any HTTP/1.x version or method in its lists;
//   - HTTP/1.1 without Host (its server refuses that, its parser does not), and a Host with any bytes.
func sameRequest(t *testing.T, data []byte, size int) {
	p, err := parse(data, requestHead, size)
	if err != nil {
		return
	}
	r := bufio.NewReaderSize(bytes.NewReader(data), 128<<10)
	req, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("%q is taken here, and by net/http not: %v", data, err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatalf("%q: the body is taken here, and by net/http not: %v", data, err)
	}
	rest, _ := io.ReadAll(r)
	if req.Method != string(p.head.method()) || req.ProtoMinor != p.head.minor || req.Host != string(p.head.host()) {
		t.Fatalf("%q: %s HTTP/1.%d of %q here, %s HTTP/1.%d of %q in net/http", data, p.head.method(), p.head.minor, p.head.host(), req.Method, req.ProtoMinor, req.Host)
	}
	if !p.head.absolute && req.RequestURI != string(p.head.target()) {
		t.Fatalf("%q: target %q here, %q in net/http", data, p.head.target(), req.RequestURI)
	}
	if !bytes.Equal(body, p.body) || len(rest) != p.rest {
		t.Fatalf("%q: body %q and %d bytes after it here, %q and %d in net/http", data, p.body, p.rest, body, len(rest))
	}
	sameHeaders(t, data, &p.head, req.Header)
	sameHeaders(t, data, &p.trailers, req.Trailer)
}

// sameHeaders compares fields, but for those that net/http keeps elsewhere.
func sameHeaders(t *testing.T, data []byte, h *head, want http.Header) {
	got := http.Header{}
	for i := range h.fields {
		f := &h.fields[i]
		switch f.id {
		case headerHost, headerTransferEncoding, headerContentLength, headerTrailer:
			continue
		}
		got.Add(string(h.name(f)), string(h.valueOf(f)))
	}
	want = want.Clone()
	for _, name := range []string{"Host", "Transfer-Encoding", "Content-Length", "Trailer"} {
		want.Del(name)
	}
	for name, values := range want {
		// net/http announces trailers with no value before they come.
		if values != nil && strings.Join(got[name], "\n") != strings.Join(values, "\n") {
			t.Fatalf("%q: header %s is %q here, %q in net/http", data, name, got[name], values)
		}
	}
	for name := range got {
		if want[name] == nil && !h.kindIs(trailerHead) {
			t.Fatalf("%q: header %s is here, and in net/http not", data, name)
		}
	}
}

func (h *head) kindIs(k headKind) bool { return h.kind == k }

func FuzzRequest(f *testing.F) {
	for _, c := range smuggled {
		f.Add([]byte(c.request), uint16(1000))
	}
	for _, r := range wellFormed {
		f.Add([]byte(r), uint16(5))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint16) { sameRequest(t, data, int(size)+1) })
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.0 200\r\n\r\nabc", "HTTP/1.1 204 No Content\r\n\r\nrest",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n",
	} {
		f.Add([]byte(s), uint16(9))
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		p, err := parse(data, responseHead, int(size)+1)
		if err != nil || p.head.status < 200 {
			return
		}
		r := bufio.NewReaderSize(bytes.NewReader(data), 128<<10)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%q is taken here, and by net/http not: %v", data, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%q: the body is taken here, and by net/http not: %v", data, err)
		}
		rest, _ := io.ReadAll(r)
		if resp.StatusCode != p.head.status || !bytes.Equal(body, p.body) || len(rest) != p.rest {
			t.Fatalf("%q: %d, body %q and %d bytes after it here, %d, %q and %d in net/http", data, p.head.status, p.body, p.rest, resp.StatusCode, body, len(rest))
		}
		sameHeaders(t, data, &p.head, resp.Header)
	})
}

// FuzzChunked holds that any bytes, framed in chunks of any sizes, come out as they went in.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("hello, world"), uint16(3), uint16(1))
	f.Add(bytes.Repeat([]byte("x"), 20_000), uint16(9000), uint16(4000))
	f.Fuzz(func(t *testing.T, data []byte, chunk, size uint16) {
		message := []byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
		for rest := data; len(rest) > 0; {
			n := min(len(rest), int(chunk)+1)
			at := len(message)
			message = append(message, make([]byte, chunkRoom)...)
			message = append(message, rest[:n]...)
			message = appendChunk(message, n)
			if message[at] == 0 {
				t.Fatalf("room is left before a chunk of %d bytes", n)
			}
			rest = rest[n:]
		}
		message = append(appendLastChunk(message, &head{}), "next"...)
		p, err := parse(message, requestHead, int(size)+1)
		if err != nil {
			t.Fatalf("chunks of %d bytes: %v", chunk, err)
		}
		if !bytes.Equal(p.body, data) || p.rest != 4 {
			t.Fatalf("chunks of %d bytes: %d bytes came of %d, %d are left", chunk, len(p.body), len(data), p.rest)
		}
		sameRequest(t, message, int(size)+1)
	})
}
