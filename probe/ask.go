package probe

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 4096

// http2Preface begins a connection of HTTP/2: the client's preface and an empty SETTINGS frame. A server answers with
// SETTINGS of its own.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// ask finds out who is behind a connection: it waits for a word, and if there is none it sends a request.
func (p *Prober) ask(conn net.Conn, t *trial, deadline time.Time) {
	buf := make([]byte, maxAnswer)
	conn.SetReadDeadline(time.Now().Add(p.patience(t)))
	n, err := conn.Read(buf)
	conn.SetReadDeadline(deadline)
	switch {
	case n > 0:
		t.read(buf[:n], false)
		return
	case !errors.Is(err, os.ErrDeadlineExceeded):
		t.fail(err)
		return
	case p.NoRequest:
		t.Outcome = Silent
		return
	}
	if _, err := conn.Write(p.request(t)); err != nil {
		t.fail(err)
		return
	}
	switch answer, err := p.answer(conn, buf, deadline); {
	case len(answer) > 0:
		t.read(answer, true)
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Outcome = Silent
	default:
		t.fail(err)
	}
}

// patience is how long the server may be silent. One that asked for a certificate and got none is about to refuse, and what
// it says then must not be crossed by a request.
func (p *Prober) patience(t *trial) time.Duration {
	if t.TLS != nil && t.TLS.Asked && !t.Certificate {
		return min(4*p.Silence, p.Timeout/2)
	}
	return p.Silence
}

// request gives what to send: HTTP/2 where it was negotiated, or promised by an ALPN that sidecars do not negotiate.
func (p *Prober) request(t *trial) []byte {
	if t.TLS != nil && (t.TLS.ALPN == "h2" || t.ALPN == "istio-h2") {
		return []byte(http2Preface)
	}
	return fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: oarlock-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n", p.Host)
}

// answer reads until the server ends the connection, enough has come, or it pauses after it began.
func (p *Prober) answer(conn net.Conn, buf []byte, deadline time.Time) ([]byte, error) {
	n := 0
	for n < len(buf) {
		m, err := conn.Read(buf[n:])
		n += m
		if err != nil {
			return buf[:n], err
		}
		conn.SetReadDeadline(earlier(deadline, time.Now().Add(p.Silence)))
	}
	return buf[:n], nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// read names what a server said; asked is whether we had spoken before.
func (t *trial) read(b []byte, asked bool) {
	switch status := httpStatus(b); {
	case t.Kind == Plaintext && isAlert(b):
		t.Outcome, t.Alert = Alerted, alertName(b[6])
	case status > 0 && t.Kind == Plaintext && wantsTLS(status, b):
		t.Outcome, t.Status, t.Detail = TLSWanted, status, firstBytes(b)
	case status > 0:
		t.Outcome, t.Status, t.Detail = HTTP, status, firstBytes(b)
	case isSettings(b):
		t.Outcome, t.Detail = HTTP, "HTTP/2"
	case !asked:
		t.Outcome, t.Detail = ServerFirst, firstBytes(b)
	default:
		t.Outcome, t.Detail = Answered, firstBytes(b)
	}
}

// httpStatus gives the status of an answer in HTTP/1, 0 where it is none.
func httpStatus(b []byte) int {
	line, _, _ := strings.Cut(string(b[:min(len(b), 256)]), "\n")
	version, rest, ok := strings.Cut(strings.TrimRight(line, "\r"), " ")
	if !ok || version != "HTTP/1.1" && version != "HTTP/1.0" || len(rest) < 3 {
		return 0
	}
	status, err := strconv.Atoi(rest[:3])
	if err != nil || status < 100 || len(rest) > 3 && rest[3] != ' ' {
		return 0
	}
	return status
}

// wantsTLS knows the words with which servers of TLS answer plaintext: those of Go, nginx, and Apache.
func wantsTLS(status int, b []byte) bool {
	if status != 400 {
		return false
	}
	b = bytes.ToLower(b)
	for _, words := range []string{"http request to an https server", "plain http request was sent to https port", "speaking plain http to an ssl"} {
		if bytes.Contains(b, []byte(words)) {
			return true
		}
	}
	return false
}

// isAlert says whether b is a TLS alert in plaintext.
func isAlert(b []byte) bool {
	return len(b) >= 7 && b[0] == 0x15 && b[1] == 3 && b[3] == 0 && b[4] == 2
}

// isSettings says whether b begins with a SETTINGS frame of HTTP/2, on stream 0.
func isSettings(b []byte) bool {
	return len(b) >= 9 && b[0] == 0 && b[3] == 4 && b[4] == 0 && bytes.Equal(b[5:9], make([]byte, 4))
}
