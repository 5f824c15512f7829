package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
)

// Kind is what an attempt speaks.
type Kind string

// The kinds.
const (
	Plaintext Kind = "plaintext"
	TLS       Kind = "TLS"
)

// Outcome is how an attempt ended.
type Outcome string

// The outcomes. The first four are those of a server that took what it was sent.
const (
	HTTP        Outcome = "http"         // it answered in HTTP: Status, or HTTP/2
	Answered    Outcome = "answered"     // it answered in something else
	ServerFirst Outcome = "server-first" // it spoke before it was asked
	Silent      Outcome = "silent"       // it took the connection, and the handshake of TLS, and said nothing
	Closed      Outcome = "closed"       // it ended the connection
	Reset       Outcome = "reset"        // it reset the connection
	Refused     Outcome = "refused"      // nothing listens there, or the network says no
	Timeout     Outcome = "timeout"      // no connection, or no handshake, within Prober.Timeout
	Alerted     Outcome = "alert"        // it sent a TLS alert: Alert has its name
	NotTLS      Outcome = "not TLS"      // it was offered TLS and spoke something else
	TLSWanted   Outcome = "TLS wanted"   // it answered plaintext with the advice to use TLS
	Failed      Outcome = "failed"       // anything else; Detail says what
)

// Attempt is one connection.
type Attempt struct {
	Kind         Kind       `json:"kind"`
	ALPN         string     `json:"alpn"`              // offered; "" is none
	Certificate  bool       `json:"clientCertificate"` // whether one was there to present
	Version      string     `json:"version,omitempty"` // the only version offered; "" where all were
	Outcome      Outcome    `json:"outcome"`
	Alert        string     `json:"alert,omitempty"`  // name of the alert that the server sent, as TLS spells it
	Status       int        `json:"status,omitempty"` // of an answer in HTTP/1
	Detail       string     `json:"detail,omitempty"` // what was said or what failed, in short
	TLS          *Handshake `json:"tls,omitempty"`    // nil where the server never spoke TLS
	Milliseconds int64      `json:"milliseconds"`
}

// Handshake is how far TLS came.
type Handshake struct {
	// Complete says that our side was done. In TLS 1.3 the server can still refuse our certificate, or the lack of one,
	// which comes as an alert after it.
	Complete bool     `json:"complete"`
	Version  string   `json:"version,omitempty"`
	Cipher   string   `json:"cipher,omitempty"`
	ALPN     string   `json:"alpn,omitempty"`    // negotiated
	Asked    bool     `json:"asked"`             // whether the server asked for a client certificate
	Issuers  []string `json:"issuers,omitempty"` // whose certificates it says it takes
	Peer     string   `json:"peer,omitempty"`    // SHA-256 of the server's certificate, as in Result.Peers
	PeerID   string   `json:"spiffeID,omitempty"`
}

// Accepted says whether the server took the connection: its handshake if it is TLS, and what was sent in it.
func (a *Attempt) Accepted() bool {
	switch a.Outcome {
	case HTTP, Answered, ServerFirst:
		return true
	case Silent, Closed:
		// An application may hang up on a request that it does not understand. A server that refuses a certificate says
		// so with an alert.
		return a.TLS != nil && a.TLS.Complete
	}
	return false
}

// A trial is an attempt under way.
type trial struct {
	Attempt
	version uint16 // the only one, 0 for all
	chain   []*x509.Certificate
}

// try makes one attempt, on a connection of its own.
func (p *Prober) try(parent context.Context, t *trial) {
	ctx, cancel := context.WithTimeout(parent, p.Timeout)
	defer cancel()
	conn, err := p.Dial(ctx, "tcp", p.Address)
	if err != nil {
		t.fail(err)
		if t.Outcome == Failed {
			t.Outcome = Refused // no such name, no route, and their kind
		}
		return
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		t.fail(err)
		return
	}
	raw := conn
	stop := context.AfterFunc(parent, func() { raw.Close() })
	defer stop()
	if t.Kind == TLS {
		c := tls.Client(conn, p.config(t))
		err := c.HandshakeContext(ctx)
		t.note(c.ConnectionState(), err == nil)
		if err != nil {
			t.fail(err)
			return
		}
		conn = c
	}
	p.ask(conn, t, deadline)
}

// config makes the TLS configuration of one attempt. It takes whatever certificate the server has and remembers it, also
// where the handshake then fails.
func (p *Prober) config(t *trial) *tls.Config {
	c := &tls.Config{
		ServerName:         p.ServerName,
		InsecureSkipVerify: true, // the chain is judged afterwards, all of it
		MinVersion:         tls.VersionTLS10,
		VerifyConnection: func(s tls.ConnectionState) error {
			t.note(s, false)
			t.chain = s.PeerCertificates
			return nil
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			t.handshake().Asked = true
			t.TLS.Issuers = issuerNames(r.AcceptableCAs)
			if t.Certificate {
				return p.Certificate, nil
			}
			return &tls.Certificate{}, nil // none
		},
	}
	if t.ALPN != NoALPN {
		c.NextProtos = []string{t.ALPN}
	}
	if t.version != 0 {
		c.MinVersion, c.MaxVersion = t.version, t.version
	}
	return c
}

func (t *trial) handshake() *Handshake {
	if t.TLS == nil {
		t.TLS = &Handshake{}
	}
	return t.TLS
}

// note keeps what is known of a handshake; it is none before the server has chosen a version.
func (t *trial) note(s tls.ConnectionState, complete bool) {
	if s.Version == 0 || t.TLS == nil && !complete && len(s.PeerCertificates) == 0 {
		return
	}
	h := t.handshake()
	h.Complete = complete
	h.Version = tls.VersionName(s.Version)
	h.ALPN = s.NegotiatedProtocol
	if s.CipherSuite != 0 {
		h.Cipher = tls.CipherSuiteName(s.CipherSuite)
	}
}

// fail names an error.
func (t *trial) fail(err error) {
	var header tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &header) && header.Conn != nil:
		t.Outcome, t.Detail = NotTLS, firstBytes(header.RecordHeader[:])
	case errors.As(err, &op) && op.Op == "remote error":
		t.Outcome, t.Alert = Alerted, alertOf(op.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		t.Outcome = Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		t.Outcome = Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		t.Outcome = Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		t.Outcome = Closed
	default:
		t.Outcome, t.Detail = Failed, err.Error()
	}
}

// alertOf names the alert that a server sent. crypto/tls has its number in a type of its own.
func alertOf(err error) string {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Uint8 {
		return alertName(uint8(v.Uint()))
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}

// firstBytes shows what a server said: text as text, the rest in hex.
func firstBytes(b []byte) string {
	const enough = 60
	b = b[:min(len(b), enough)]
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimRight(line, "\r")
	for _, c := range []byte(line) {
		if c < ' ' || c > '~' {
			return "0x" + hex.EncodeToString(b[:min(len(b), 16)])
		}
	}
	return line
}

// issuerNames reads the names in a request for a client certificate, at most a few.
func issuerNames(raw [][]byte) []string {
	const enough = 16
	var out []string
	for _, der := range raw[:min(len(raw), enough)] {
		if name, err := parseName(der); err == nil {
			out = append(out, name)
		}
	}
	return out
}
