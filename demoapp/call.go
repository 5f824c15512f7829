package demoapp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// outcome is what came of one call.
type outcome struct {
	Target string `json:"target"`
	OK     bool   `json:"ok"`
	Result string `json:"result"` // see Count.Results
	Error  string `json:"error,omitempty"`
	// Answer is what the callee said of itself, where it is one of us.
	Answer json.RawMessage `json:"answer,omitempty"`
}

// caller makes calls to one target. It may be used from several goroutines.
type caller interface {
	target() Target
	call(ctx context.Context, headers http.Header) outcome
	close()
}

func (a *App) caller(t Target, secure *tls.Config) caller {
	secure = secure.Clone()
	secure.ServerName = t.Host
	switch t.Protocol {
	case "http", "https":
		return newHTTPCaller(a, t, secure)
	case "grpc":
		return newGRPCCaller(a, t)
	case "udp":
		return &udpCaller{app: a, to: t}
	}
	c := &tcpCaller{app: a, to: t}
	if t.Protocol == "tls" {
		c.secure = secure
	}
	if a.cfg.TCPConns > 0 {
		c.kept = make(chan *lineConn, a.cfg.TCPConns)
		for range a.cfg.TCPConns {
			c.kept <- nil
		}
	}
	return c
}

// dial connects to where the target is.
func (a *App) dial(ctx context.Context, network string, t Target) (net.Conn, error) {
	at, _ := address(t, a.cfg.Env)
	var d net.Dialer
	return d.DialContext(ctx, network, at)
}

func failed(t Target, err error) outcome {
	return outcome{Target: t.String(), Result: "error", Error: err.Error()}
}

// traceHeaders are passed on from a request to the calls on its behalf.
func traceHeaders() []string {
	return []string{"X-Request-Id", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", "B3",
		"Traceparent", "Tracestate", "X-Ot-Span-Context"}
}

// httpCaller calls over HTTP/1.1, and over HTTPS whatever the server prefers.
type httpCaller struct {
	app    *App
	to     Target
	client *http.Client
	url    string
}

func newHTTPCaller(a *App, t Target, secure *tls.Config) *httpCaller {
	_, service := address(t, a.cfg.Env)
	tr := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: maxInFlight,
		IdleConnTimeout: 90 * time.Second, ResponseHeaderTimeout: a.cfg.Timeout}
	if service {
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) { return a.dial(ctx, network, t) }
	} else {
		tr.Proxy = http.ProxyFromEnvironment
	}
	return &httpCaller{app: a, to: t, url: t.Protocol + "://" + t.authority() + t.Path, client: &http.Client{Transport: tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *httpCaller) target() Target { return c.to }

func (c *httpCaller) close() { c.client.CloseIdleConnections() }

// maxAnswer is how much of an answer is kept to be shown; the rest is read and dropped.
const maxAnswer = 64 << 10

func (c *httpCaller) call(ctx context.Context, headers http.Header) outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return failed(c.to, err)
	}
	for _, name := range traceHeaders() {
		if v := headers.Values(name); len(v) > 0 {
			req.Header[name] = v
		}
	}
	req.Header.Set("User-Agent", "oarlock-demo-app ("+c.app.cfg.Service+")")
	resp, err := c.client.Do(req)
	if err != nil {
		return failed(c.to, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return failed(c.to, fmt.Errorf("read answer: %w", err))
	}
	out := outcome{Target: c.to.String(), OK: resp.StatusCode < 400, Result: strconv.Itoa(resp.StatusCode)}
	switch {
	case !out.OK:
		out.Error = strings.TrimSpace(string(body[:min(len(body), 200)]))
	case json.Valid(body) && len(body) < maxAnswer:
		out.Answer = body
	}
	return out
}

// lineConn is a connection with what was read too far.
type lineConn struct {
	net.Conn
	r *bufio.Reader
}

// tcpCaller sends a line and wants it back. kept holds the long-lived connections, nil where one is to be made; a call
// takes one and puts it back.
type tcpCaller struct {
	app    *App
	to     Target
	secure *tls.Config // nil for plain TCP
	kept   chan *lineConn
}

func (c *tcpCaller) target() Target { return c.to }

// close ends the connections that no call has.
func (c *tcpCaller) close() {
	for range cap(c.kept) {
		select {
		case conn := <-c.kept:
			if conn != nil {
				conn.Close()
			}
		default:
		}
	}
}

func (c *tcpCaller) call(ctx context.Context, _ http.Header) outcome {
	var conn *lineConn
	if c.kept != nil {
		select {
		case conn = <-c.kept:
		case <-ctx.Done():
			return failed(c.to, fmt.Errorf("wait for one of %d connections: %w", cap(c.kept), ctx.Err()))
		}
	}
	conn, err := c.exchange(ctx, conn)
	if c.kept != nil {
		if err != nil && conn != nil {
			conn.Close()
			conn = nil
		}
		c.kept <- conn
	} else if conn != nil {
		conn.Close()
	}
	if err != nil {
		return failed(c.to, err)
	}
	return outcome{Target: c.to.String(), OK: true, Result: "echo"}
}

// exchange sends a line over conn, or a new connection where that is nil, and gives the connection back.
func (c *tcpCaller) exchange(ctx context.Context, conn *lineConn) (*lineConn, error) {
	if conn == nil {
		raw, err := c.app.dial(ctx, "tcp", c.to)
		if err != nil {
			return nil, err
		}
		if c.secure != nil {
			raw = tls.Client(raw, c.secure)
		}
		conn = &lineConn{raw, bufio.NewReader(raw)}
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return conn, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return conn, echoLine(conn, c.app.payload())
}

// payload is what is sent over TCP, UDP and gRPC: the service's name, filled up to Config.Body.
func (a *App) payload() []byte {
	line := []byte("hello from " + a.cfg.Pod)
	if n := a.cfg.Body - len(line); n > 0 {
		line = append(line, bytes.Repeat([]byte("."), n)...)
	}
	return line
}

// echoLine writes while it reads: neither side may hold a long line in its buffers.
func echoLine(conn *lineConn, line []byte) error {
	line = append(line, '\n')
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(line)
		wrote <- err
	}()
	got := make([]byte, len(line))
	_, readErr := io.ReadFull(conn.r, got)
	if readErr != nil {
		_ = conn.SetDeadline(time.Unix(1, 0)) // ends the write as well
	}
	writeErr := <-wrote
	switch {
	case readErr != nil:
		return fmt.Errorf("read echo: %w", readErr)
	case writeErr != nil:
		return fmt.Errorf("write line: %w", writeErr)
	case !bytes.Equal(got, line):
		return errors.New("read echo: it is not what was sent")
	}
	return nil
}

// udpCaller sends a datagram and wants it back.
type udpCaller struct {
	app *App
	to  Target
}

func (c *udpCaller) target() Target { return c.to }
func (c *udpCaller) close()         {}

func (c *udpCaller) call(ctx context.Context, _ http.Header) outcome {
	conn, err := c.app.dial(ctx, "udp", c.to)
	if err != nil {
		return failed(c.to, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // of a fresh socket: cannot fail
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := c.app.payload()
	sent = sent[:min(len(sent), maxDatagram)]
	if _, err := conn.Write(sent); err != nil {
		return failed(c.to, err)
	}
	got := make([]byte, maxDatagram+1)
	n, err := conn.Read(got)
	if err != nil {
		return failed(c.to, err)
	}
	if !bytes.Equal(got[:n], sent) {
		return failed(c.to, errors.New("read echo: it is not what was sent"))
	}
	return outcome{Target: c.to.String(), OK: true, Result: "echo"}
}
