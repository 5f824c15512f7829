package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The defaults of a Prober.
const (
	DefaultTimeout  = 3 * time.Second
	DefaultSilence  = 250 * time.Millisecond
	DefaultParallel = 4
)

// NoALPN is the entry of Prober.ALPN that offers none.
const NoALPN = ""

// DefaultALPN lists what is offered, one an attempt: what sidecars of Istio offer each other, what others do, and none.
func DefaultALPN() []string {
	return []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2", "h2", "http/1.1", NoALPN}
}

// Prober tries one address. Only Address is required; Run does not change a Prober, so it may be used again.
type Prober struct {
	// Address is HOST:PORT.
	Address string
	// ServerName is sent as SNI. "" is the host of Address, and nothing where that is an IP address.
	ServerName string
	// Host is the Host header of a request; "" is Address.
	Host string

	// Certificate is presented where the server asks for one. Nil leaves out the attempts with a client certificate.
	Certificate *tls.Certificate
	// Roots are what the server's chain, and our own, should end in. Nil leaves that unjudged.
	Roots *x509.CertPool

	// ALPN lists what to offer, one an attempt. Nil is DefaultALPN.
	ALPN []string
	// Timeout bounds one attempt; zero is DefaultTimeout.
	Timeout time.Duration
	// Silence is how long a server may take to speak of itself before it is asked; zero is DefaultSilence.
	Silence time.Duration
	// NoRequest sends nothing to the application. A server that then says nothing is silent, which proves little.
	NoRequest bool
	// Parallel bounds the attempts at one time; zero is DefaultParallel.
	Parallel int
	// Dial makes the connections; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Result is what was tried and what it proves.
type Result struct {
	Address  string    `json:"address"`
	Mode     Mode      `json:"mode"`
	Proof    []string  `json:"proof"` // sentences that say why it is that mode, or why none is proven
	Peers    []Peer    `json:"peers"` // who showed a certificate, each once, in the order of the attempts
	Findings []Finding `json:"findings"`
	Attempts []Attempt `json:"attempts"`
}

// Run makes all attempts. Failed ones are no error: they are what it wants to know. An error is an address that is none, or
// the end of ctx.
func (p *Prober) Run(ctx context.Context) (*Result, error) {
	q, err := p.withDefaults()
	if err != nil {
		return nil, err
	}
	attempts := q.plan()
	q.tryAll(ctx, attempts)
	q.tryAgain(ctx, attempts)
	attempts = append(attempts, q.versions(ctx, attempts)...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("probe %s: %w", p.Address, err)
	}
	r := &Result{Address: q.Address, Peers: []Peer{}, Findings: []Finding{}}
	r.Findings = append(r.Findings, q.ownFindings(time.Now())...)
	r.collect(attempts, q.Roots, time.Now())
	r.Mode, r.Proof = judge(r.Attempts)
	return r, nil
}

func (p *Prober) withDefaults() (*Prober, error) {
	q := *p
	host, port, err := net.SplitHostPort(q.Address)
	if err != nil {
		return nil, fmt.Errorf("probe %q: want HOST:PORT: %w", p.Address, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return nil, fmt.Errorf("probe %q: port %q is no number from 1 to 65535", p.Address, port)
	}
	if host == "" {
		return nil, fmt.Errorf("probe %q: no host", p.Address)
	}
	if q.ServerName == "" && net.ParseIP(host) == nil {
		q.ServerName = host
	}
	if q.Host == "" {
		q.Host = q.Address
	}
	if q.ALPN == nil {
		q.ALPN = DefaultALPN()
	}
	q.Timeout = orDefault(q.Timeout, DefaultTimeout)
	q.Silence = min(orDefault(q.Silence, DefaultSilence), q.Timeout/2)
	q.Parallel = orDefault(q.Parallel, DefaultParallel)
	if q.Dial == nil {
		q.Dial = new(net.Dialer).DialContext
	}
	return &q, nil
}

func orDefault[T time.Duration | int](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// plan lists the attempts: plaintext, then each ALPN without a client certificate, then each with one.
func (p *Prober) plan() []*trial {
	out := []*trial{{Attempt: Attempt{Kind: Plaintext}}}
	for _, certificate := range []bool{false, true} {
		if certificate && p.Certificate == nil {
			continue
		}
		for _, alpn := range p.ALPN {
			out = append(out, &trial{Attempt: Attempt{Kind: TLS, ALPN: alpn, Certificate: certificate}})
		}
	}
	return out
}

// versions tries each version of TLS alone, with what brought an earlier attempt the farthest.
func (p *Prober) versions(ctx context.Context, done []*trial) []*trial {
	var best *trial
	for _, t := range done {
		switch {
		case t.TLS == nil:
		case best == nil, t.Accepted() && !best.Accepted():
			best = t
		}
	}
	if best == nil {
		return nil
	}
	var out []*trial
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		out = append(out, &trial{version: v, Attempt: Attempt{
			Kind: TLS, ALPN: best.ALPN, Certificate: best.Certificate, Version: tls.VersionName(v),
		}})
	}
	p.tryAll(ctx, out)
	return out
}

// tryAgain gives handshakes that ran out of time another chance where others came through: a server that serves one at a time
// may have been busy with another attempt of ours.
func (p *Prober) tryAgain(ctx context.Context, trials []*trial) {
	var late []*trial
	speaks := false
	for _, t := range trials {
		speaks = speaks || t.TLS != nil
		if t.Kind == TLS && t.Outcome == Timeout {
			late = append(late, t)
		}
	}
	if !speaks {
		return
	}
	for _, t := range late {
		*t = trial{version: t.version, Attempt: Attempt{Kind: t.Kind, ALPN: t.ALPN, Certificate: t.Certificate, Version: t.Version}}
	}
	p.tryAll(ctx, late)
}

// tryAll makes attempts, a few at a time.
func (p *Prober) tryAll(ctx context.Context, trials []*trial) {
	var wg sync.WaitGroup
	free := make(chan struct{}, p.Parallel)
	for _, t := range trials {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			begin := time.Now()
			p.try(ctx, t)
			t.Milliseconds = time.Since(begin).Milliseconds()
		})
	}
	wg.Wait()
}

// ownFindings says what is wrong with our own certificate: a server that refuses it may be right.
func (p *Prober) ownFindings(now time.Time) []Finding {
	if p.Certificate == nil {
		return nil
	}
	chain, err := parseChain(p.Certificate)
	if err != nil {
		return []Finding{{Error, "own certificate", err.Error()}}
	}
	return inspect("own certificate", chain, inspection{roots: p.Roots, now: now, client: true})
}

func parseChain(c *tls.Certificate) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("it is empty")
	}
	return chain, nil
}

// collect takes over attempts, and the certificates that they have seen.
func (r *Result) collect(trials []*trial, roots *x509.CertPool, now time.Time) {
	for _, t := range trials {
		if len(t.chain) > 0 {
			peer := newPeer(t.chain)
			t.TLS.Peer = peer.Fingerprint
			t.TLS.PeerID = peer.SPIFFEID
			if !slices.ContainsFunc(r.Peers, func(have Peer) bool { return have.Fingerprint == peer.Fingerprint }) {
				r.Peers = append(r.Peers, peer)
				r.Findings = append(r.Findings, inspect(peer.Name(), t.chain, inspection{roots: roots, now: now})...)
			}
		}
		r.Attempts = append(r.Attempts, t.Attempt)
	}
}
