package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/proxy"
)

// scripted serves each connection with what f does.
func scripted(t testing.TB, f func(n int, c net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(n, c)
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}

// readRequest reads one request off a connection, for a scripted server.
func readRequest(c net.Conn) (*http.Request, []byte, error) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(r.Body)
	return r, body, err
}

// status gives the status line's code, and the body, of a raw response.
func status(t testing.TB, raw string) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
	if err != nil {
		t.Fatalf("read response %q: %v", raw, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body of %q: %v", raw, err)
	}
	return resp.StatusCode, string(body)
}

const simple = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

func TestRefusedRequests(t *testing.T) {
	backend := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "served") })
	refusing := func(patience time.Duration) (netip.AddrPort, *meshtest.Buffer) {
		at, _, logs := plainProxy(t, backend, func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) {
			m.MaxHeaders, m.MaxHeaderSize, m.HeaderTimeout = 20, 8<<10, patience
		})
		return at, logs
	}
	calm, calmLogs := refusing(30 * time.Second)
	hasty, hastyLogs := refusing(300 * time.Millisecond)
	for _, c := range []struct {
		request, details string
		status           int
	}{
		{"GET / HTTP/1.1\nHost: a\n\n", "http1.bare_lf", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "http1.content_length_and_chunked_not_allowed", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "http1.invalid_transfer_encoding", 501},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "http1.invalid_chunk", 400},
		{"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "http1.unsupported_version", 505},
		{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 30) + "\r\n", "http1.too_many_headers", 431},
		{"GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("b", 9<<10) + "\r\n\r\n", "http1.headers_too_large", 431},
		{"GET /" + strings.Repeat("b", 9<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "http1.url_too_long", 414},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: slow", "request_header_timeout", 408},
		{"GET http://a/ftp HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "http1.duplicate_host", 400},
	} {
		at, logs := calm, calmLogs
		if c.status == http.StatusRequestTimeout {
			at, logs = hasty, hastyLogs
		}
		got := raw(t, at, c.request)
		code, _ := status(t, got)
		if code != c.status || !strings.Contains(got, "\r\nconnection: close\r\n") || strings.Contains(got, "served") {
			t.Errorf("%.60q: %q, want status %d", c.request, got, c.status)
		}
		if e := logLine(t, logs, c.details); e.ResponseCode != int64(c.status) || e.Flags.String() != "DPE" {
			t.Errorf("%.60q: log line with %d and %s", c.request, e.ResponseCode, e.Flags)
		}
	}
	code, body := status(t, raw(t, calm, simple))
	if code != 200 || body != "served" {
		t.Errorf("afterwards: %d %q", code, body)
	}
}

// TestSmuggledRequestStays holds that bytes which another server might take for a request never reach it.
func TestSmuggledRequestStays(t *testing.T) {
	var seen atomic.Int64
	at, _, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { seen.Add(1) }), nil)
	raw(t, at, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
	raw(t, at, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n")
	if n := seen.Load(); n > 1 { // the head of the second may have been on its way
		t.Errorf("the server has seen %d requests", n)
	}
}

func TestLocalReplies(t *testing.T) {
	closing := scripted(t, func(_ int, c net.Conn) { readRequest(c) })
	silent := scripted(t, func(_ int, c net.Conn) { io.Copy(io.Discard, c) })
	nobody := freePort(t)
	for _, c := range []struct {
		name   string
		at     netip.AddrPort
		change func(*proxy.HTTPManager, *proxy.Route, *proxy.Cluster)
		status int
		body   string
		flags  string
		detail string
	}{
		{"termination", closing, nil, 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "UC", "upstream_reset_before_response_started{connection_termination}"},
		{"refused", nobody, nil, 503, "upstream connect error or disconnect/reset before headers. reset reason: connection failure", "UF", "upstream_reset_before_response_started{connection_failure}"},
		{"no route", nobody, func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) { m.Table = &proxy.RouteTable{} }, 404, "", "NR", "route_not_found"},
		{"no table", nobody, func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) { m.RouteName = "gone" }, 404, "", "NR", "route_not_found"},
		{"no cluster", nobody, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) { r.Clusters[0].Name = "gone" }, 503, "", "NC", "cluster_not_found"},
		{"no endpoint", nobody, func(_ *proxy.HTTPManager, _ *proxy.Route, c *proxy.Cluster) { c.Endpoints = nil }, 503, "no healthy upstream", "UH", "no_healthy_upstream"},
		{"direct", nobody, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
			r.Direct = &proxy.DirectResponse{Status: 502, Body: "block_all"}
		}, 502, "block_all", "-", "direct_response"},
		{"redirect", nobody, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
			r.Redirect = &proxy.Redirect{Scheme: "https"}
		}, 301, "", "-", "direct_response"},
		{"exhausted", nobody, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
			r.Retry = &proxy.RetryPolicy{On: proxy.RetryConnectFailure, Attempts: 2, Backoff: time.Millisecond}
		}, 503, "upstream connect error or disconnect/reset before headers. reset reason: connection failure", "UF,URX", "upstream_reset_before_response_started{connection_failure}"},
		{"slow", silent, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) { r.Timeout = 50 * time.Millisecond }, 504, "upstream request timeout", "UT", "response_timeout"},
		{"idle", silent, func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) {
			m.StreamIdleTimeout = 50 * time.Millisecond
		}, 504, "stream timeout", "SI", "stream_idle_timeout"},
		{"garbage", scripted(t, func(_ int, c net.Conn) { readRequest(c); io.WriteString(c, "SSH-2.0-x\r\n") }), nil, 502, "upstream connect error or disconnect/reset before headers. reset reason: protocol error", "UPE", "upstream_reset_before_response_started{protocol_error}"},
		{"too many", closing, func(_ *proxy.HTTPManager, _ *proxy.Route, c *proxy.Cluster) { c.Limits.Connections = 1 }, 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "UC", "upstream_reset_before_response_started{connection_termination}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, _, logs := plainProxy(t, c.at, c.change)
			got := raw(t, at, simple)
			code, body := status(t, got)
			if code != c.status || body != c.body {
				t.Errorf("got %d %q, want %d %q", code, body, c.status, c.body)
			}
			for _, want := range []string{"\r\nserver: oarlock\r\n", "\r\ndate: ", fmt.Sprintf("\r\ncontent-length: %d\r\n", len(c.body))} {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
			if c.body != "" && !strings.Contains(got, "\r\ncontent-type: text/plain\r\n") {
				t.Errorf("%q lacks a content type", got)
			}
			e := logLine(t, logs, "GET")
			if e.Flags.String() != c.flags || e.CodeDetails != c.detail || e.ResponseCode != int64(c.status) || e.BytesSent != int64(len(c.body)) {
				t.Errorf("logged %d %s %q, %d bytes", e.ResponseCode, e.Flags, e.CodeDetails, e.BytesSent)
			}
		})
	}
}

// TestStaleConnections closes each pooled connection after its response: a request that comes just then goes to another.
func TestStaleConnections(t *testing.T) {
	var served, broken atomic.Int64
	backend := scripted(t, func(n int, c net.Conn) {
		r := bufio.NewReader(c)
		for i := 0; ; i++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			if i == 1 {
				broken.Add(1)
				return // as if it had closed just before the request came
			}
			served.Add(1)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	at, _, logs := plainProxy(t, backend, nil)
	for i := range 20 {
		resp, err := http.Get("http://" + at.String())
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("request %d: %s", i, resp.Status)
		}
	}
	if served.Load() != 20 || broken.Load() == 0 {
		t.Errorf("%d were served, %d connections were stale", served.Load(), broken.Load())
	}
	if strings.Contains(logs.String(), `" 503 `) {
		t.Error(logs.String())
	}
	// A POST that may have been seen is not sent twice.
	resp, err := http.Post("http://"+at.String(), "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n := served.Load() + broken.Load(); resp.StatusCode != 503 && resp.StatusCode != 200 || n > 41 {
		t.Errorf("POST: %s, %d requests came", resp.Status, n)
	}
}

func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy proxy.RetryPolicy
		fail   func(c net.Conn)
		tries  int64
		status int
	}{
		{"code", proxy.RetryPolicy{On: proxy.RetryCodes, Codes: []int{503}, Attempts: 3}, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n") }, 3, 200},
		{"another code", proxy.RetryPolicy{On: proxy.RetryCodes, Codes: []int{500}, Attempts: 3}, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n") }, 1, 503},
		{"gateway", proxy.RetryPolicy{On: proxy.RetryGatewayError, Attempts: 2}, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n") }, 3, 200},
		{"5xx exhausted", proxy.RetryPolicy{On: proxy.Retry5xx, Attempts: 1}, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n") }, 2, 500},
		{"reset", proxy.RetryPolicy{On: proxy.RetryReset, Attempts: 2}, func(c net.Conn) {}, 3, 200},
		{"reset without policy", proxy.RetryPolicy{On: proxy.RetryConnectFailure, Attempts: 2}, func(c net.Conn) {}, 1, 503},
		{"per try", proxy.RetryPolicy{On: proxy.Retry5xx, Attempts: 2, PerTryTimeout: 2 * time.Second}, func(c net.Conn) { io.Copy(io.Discard, c) }, 3, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tries atomic.Int64
			var body atomic.Value
			backend := scripted(t, func(_ int, conn net.Conn) {
				_, b, err := readRequest(conn)
				if err != nil {
					return
				}
				if tries.Add(1) < 3 {
					c.fail(conn)
					return
				}
				body.Store(string(b))
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			at, _, logs := plainProxy(t, backend, func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
				c.policy.Backoff = time.Millisecond
				r.Retry = &c.policy
			})
			code, _ := status(t, raw(t, at, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"))
			if code != c.status || tries.Load() != c.tries {
				t.Errorf("got %d after %d tries, want %d after %d", code, tries.Load(), c.status, c.tries)
			}
			if code == 200 && body.Load() != "hello" {
				t.Errorf("the last try had the body %q", body.Load())
			}
			e := logLine(t, logs, "POST")
			if exhausted := strings.Contains(e.Flags.String(), "URX"); exhausted != strings.Contains(c.name, "exhausted") {
				t.Errorf("flags are %s", e.Flags)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	backend := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Trailer", "X-Sum")
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		sum := sha256.New()
		io.Copy(io.MultiWriter(w, sum), r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%x %s", sum.Sum(nil), r.Trailer.Get("X-End")))
	})
	p := newHTTPPair(t, backend, nil)
	for _, size := range []int{0, 1, 100, 3900, 4096, 5000, 60 << 10, 61 << 10, 64 << 10, 65<<10 + 1, 3 << 20} {
		for _, kind := range []string{"/sized", "/chunked"} {
			data := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
			req, err := http.NewRequest("POST", p.url(kind), bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if kind == "/chunked" {
				req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(data[:size/2]), bytes.NewReader(data[size/2:])))
				req.ContentLength = -1
				req.Trailer = http.Header{"X-End": {"end"}}
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatalf("%s %d: %v", kind, size, err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(body, data) {
				t.Fatalf("%s: %d of %d bytes came back: %v", kind, len(body), size, err)
			}
			if want := fmt.Sprintf("%x end", sha256.Sum256(data)); kind == "/chunked" && resp.Trailer.Get("X-Sum") != want {
				t.Errorf("%s %d: trailer %q, want %q", kind, size, resp.Trailer.Get("X-Sum"), want)
			}
		}
	}
	if strings.Contains(p.clientLogs.String()+p.serverLogs.String(), " 503 ") {
		t.Error("there are failures in the log")
	}
}

// TestStreams holds that nothing waits in a buffer: each event comes before the next is sent.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	p := newHTTPPair(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	}), nil)
	resp, err := http.Get(p.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := r.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
			t.Fatalf("event %d is %q, %v", i, line, err)
		}
		r.ReadString('\n')
		next <- struct{}{}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the last event: %v", err)
	}
}

// TestBothWays sends a request's body while its response comes.
func TestBothWays(t *testing.T) {
	p := newHTTPPair(t, scripted(t, func(_ int, c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			if n > 0 {
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, b[:n])
			}
			if err != nil {
				io.WriteString(c, "0\r\n\r\n")
				return
			}
		}
	}), nil)
	c := dial(t, p.door)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"one", "three"} {
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(word), word)
		b := make([]byte, len(word))
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != word {
			t.Fatalf("%q came back for %q: %v", b, word, err)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end: %q, %v", rest, err)
	}
	if e := logLine(t, p.clientLogs, "POST"); e.BytesReceived != 8 || e.BytesSent != 8 || e.Flags != 0 {
		t.Errorf("logged %d bytes received, %d sent, flags %s", e.BytesReceived, e.BytesSent, e.Flags)
	}
}

// TestEarlyResponse refuses an upload in its middle. The client sees the answer, not a reset.
func TestEarlyResponse(t *testing.T) {
	answered := make(chan struct{})
	defer close(answered)
	p := newHTTPPair(t, scripted(t, func(_ int, c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")
		c.(*net.TCPConn).CloseWrite()
		<-answered
	}), nil)
	c := dial(t, p.door)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
	go io.Copy(c, bytes.NewReader(make([]byte, 300_000)))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 413 || string(body) != "no!" || err != nil {
		t.Errorf("%s %q %v", resp.Status, body, err)
	}
}

func TestContinueAndHints(t *testing.T) {
	p := newHTTPPair(t, scripted(t, func(_ int, c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(c, "HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
	}), nil)
	c := dial(t, p.door)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	r := bufio.NewReader(c)
	for _, want := range []int{103, 100} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%v, %v, want %d", resp, err, want)
		}
		if want == 103 && resp.Header.Get("Link") != "</a>" {
			t.Errorf("hints: %v", resp.Header)
		}
	}
	io.WriteString(c, "hello")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 201 || string(b) != "hello" {
		t.Errorf("%s %q", resp.Status, b)
	}
}

func TestUpgrade(t *testing.T) {
	at, _, logs := plainProxy(t, scripted(t, func(_ int, c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "upgrade" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly ")
		io.Copy(c, c)
	}), nil)
	c := dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping ")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(c, "pong")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(r); string(b) != "early ping pong" {
		t.Errorf("%q came back: %v", b, err)
	}
	if e := logLine(t, logs, " 101 "); e.BytesReceived != 9 || e.BytesSent != 15 {
		t.Errorf("logged %d received, %d sent", e.BytesReceived, e.BytesSent)
	}
	if code, body := status(t, raw(t, at, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n")); code != 200 || body != "plain" {
		t.Errorf("h2c: %d %q", code, body)
	}
	if code, _ := status(t, raw(t, at, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: foo\r\n\r\n")); code != 403 {
		t.Errorf("foo: %d", code)
	}
}

func TestFraming(t *testing.T) {
	for _, c := range []struct{ name, request, response, want string }{
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "\r\nContent-Length: 5\r\n"},
		{"204", simple, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n"},
		{"304", simple, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "Content-Length: 9\r\n"},
		{"until close", simple, "HTTP/1.0 200 OK\r\n\r\nhello", "\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"1.0 client", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "connection: close\r\n\r\nhello"},
		{"1.0 client that stays", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "connection: keep-alive\r\n\r\nxHTTP/1.0 200 OK"},
		{"no reason", simple, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\n"},
		{"hop by hop", simple, "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nKeep-Alive: 1\r\nX-Hop: 1\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n", "X-Stays: 1\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, _, _ := plainProxy(t, scripted(t, func(_ int, conn net.Conn) {
				r := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if req.Header.Get("Keep-Alive")+req.Header.Get("X-Hop") != "" {
						t.Errorf("headers of a hop went on: %v", req.Header)
					}
					io.WriteString(conn, c.response)
					if strings.Contains(c.name, "until") {
						return
					}
				}
			}), nil)
			got := raw(t, at, c.request)
			if !strings.Contains(got, c.want) || strings.Contains(got, "X-Hop") {
				t.Errorf("%q does not have %q", got, c.want)
			}
		})
	}
}

// TestCutResponse ends an upstream in the middle of its response: the client must not take that for the end.
func TestCutResponse(t *testing.T) {
	for _, response := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
	} {
		at, _, logs := plainProxy(t, scripted(t, func(_ int, c net.Conn) {
			readRequest(c)
			io.WriteString(c, response)
		}), nil)
		resp, err := http.Get("http://" + at.String())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("%q: the client took %q for all", response, body)
		}
		e := logLine(t, logs, "GET")
		if f := e.Flags.String(); f != "UC" && f != "UPE" || !strings.HasPrefix(e.CodeDetails, "upstream_reset_after_response_started{") {
			t.Errorf("%q: logged %s %s", response, f, e.CodeDetails)
		}
	}
}

func TestHalfClose(t *testing.T) {
	at, _, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, "late")
	}), nil)
	c := dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if code, body := status(t, string(b)); code != 200 || body != "late" || err != nil {
		t.Errorf("%d %q %v", code, body, err)
	}
}

// TestClientGone leaves while the upstream thinks; the upstream is let go soon.
func TestClientGone(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	at, _, logs := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(gone)
	}), nil)
	c := dial(t, at)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case <-gone:
	case <-time.After(30 * time.Second):
		t.Fatal("the upstream is still at work")
	}
	if e := logLine(t, logs, "GET"); e.Flags.String() != "DC" || e.ResponseCode != 0 {
		t.Errorf("logged %d %s", e.ResponseCode, e.Flags)
	}
}

func TestUploadBroken(t *testing.T) {
	at, _, logs := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), nil)
	c := dial(t, at)
	io.WriteString(c, "POST /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
	time.Sleep(20 * time.Millisecond)
	c.Close()
	if e := logLine(t, logs, "/gone"); e.Flags.String() != "DC" {
		t.Errorf("logged %d %s", e.ResponseCode, e.Flags)
	}
	c = dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "POST /worse HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	time.Sleep(20 * time.Millisecond)
	io.WriteString(c, "nonsense\r\n")
	b, _ := io.ReadAll(c)
	if code, _ := status(t, string(b)); code != 400 {
		t.Errorf("a bad chunk later: %q", b)
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	at, _, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {}), func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) {
		m.IdleTimeout = 50 * time.Millisecond
	})
	eventually(t, "an answer, and then the end", func() bool { // on a busy machine a connection may be idle before its request comes
		c := dial(t, at)
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b, err := io.ReadAll(c)
		return err == nil && strings.HasPrefix(string(b), "HTTP/1.1 200")
	})
}

func TestHTTPDrain(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	at, p, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "whole")
	}), nil)
	idle := dial(t, at)
	answer := make(chan string)
	go func() { answer <- raw(t, at, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }()
	<-begun
	drained := make(chan error)
	go func() { drained <- p.Drain(context.Background()) }()
	eventually(t, "a proxy that takes no more connections", func() bool {
		c, err := net.Dial("tcp", at.String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(finish)
	if got := <-answer; !strings.HasSuffix(got, "whole") || !strings.Contains(got, "connection: close") {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	idle.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
}

// TestFlood sends very many small headers, over and over: it is refused, and memory stays flat.
func TestFlood(t *testing.T) {
	at, _, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {}), nil)
	flood := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("a: \r\n", 10_000) + "\r\n"
	var before, after runtime.MemStats
	for i := range 300 {
		if code, _ := status(t, raw(t, at, flood)); code != 431 {
			t.Fatalf("flood %d: %d", i, code)
		}
		if i == 100 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, after.HeapAlloc)
	}
}

func TestHTTP2IsCarried(t *testing.T) {
	at, _, logs := plainProxy(t, echo(t), nil)
	c := dial(t, at)
	got, err := say(t, c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes")
	if err != nil || got != "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes" {
		t.Errorf("%q came back: %v", got, err)
	}
	logLine(t, logs, " 30 ")
}
