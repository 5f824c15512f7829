package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// serverTLS is a ServerTLS in force.
type serverTLS struct {
	config *tls.Config
}

// newServerTLS builds the configuration once for all connections of a chain. Its certificate and roots are asked for in
// each handshake, so they may change at any time.
func (p *Proxy) newServerTLS(t *ServerTLS) (*serverTLS, error) {
	config := &tls.Config{ClientAuth: tls.NoClientCert}
	if t.Trust.Own {
		if p.opt.Identity == nil {
			return nil, errNoIdentity
		}
		config = p.opt.Identity.ServerConfig(matcher(t.Peers))
		if !t.Require {
			optionalClient(config)
		}
	} else if t.Require || t.Trust.RootFile != "" {
		config.ClientAuth = tls.RequestClientCert
		if t.Require {
			config.ClientAuth = tls.RequireAnyClientCert
		}
		check, err := p.verifier(t.Trust, t.Peers, x509.ExtKeyUsageClientAuth)
		if err != nil {
			return nil, err
		}
		config.VerifyConnection = check
		if !t.Require {
			optionalClient(config)
		}
	}
	if !t.Certificate.Own || !t.Trust.Own {
		get, err := p.serverCertificate(t.Certificate)
		if err != nil {
			return nil, err
		}
		config.GetCertificate = get
	}
	config.MinVersion, config.MaxVersion = versions(t.MinVersion, t.MaxVersion)
	config.CipherSuites = t.CipherSuites
	config.DynamicRecordSizingDisabled = true
	if len(t.ALPN) == 0 {
		return &serverTLS{config: config}, nil
	}
	// Where the sides have no protocol in common crypto/tls ends the handshake; Envoy goes on without one, and Istio counts
	// on that: a client that offers "istio" alone meets a server that speaks http/1.1.
	without := config.Clone()
	config.NextProtos = t.ALPN
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, offered := range h.SupportedProtos {
			if slices.Contains(t.ALPN, offered) {
				return nil, nil
			}
		}
		return without, nil
	}
	return &serverTLS{config: config}, nil
}

// optionalClient lets clients without a certificate in and checks the others.
func optionalClient(c *tls.Config) {
	c.ClientAuth = tls.RequestClientCert
	check := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		return check(s)
	}
}

// newClientTLS builds the configuration of one socket.
func (p *Proxy) newClientTLS(t *ClientTLS) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(sessions)} // VerifyConnection checks
	if t.Trust.Own {
		if p.opt.Identity == nil {
			return nil, errNoIdentity
		}
		config = p.opt.Identity.ClientConfig(matcher(t.Peers))
	} else {
		check, err := p.verifier(t.Trust, t.Peers, x509.ExtKeyUsageServerAuth)
		if err != nil {
			return nil, err
		}
		config.VerifyConnection = check
	}
	switch {
	case t.Certificate.Own && !t.Trust.Own:
		if p.opt.Identity == nil {
			return nil, errNoIdentity
		}
		config.GetClientCertificate = p.opt.Identity.ClientConfig(spiffeid.MatchAny()).GetClientCertificate
	case !t.Certificate.Own:
		get, err := p.clientCertificate(t.Certificate)
		if err != nil {
			return nil, err
		}
		config.GetClientCertificate = get
	}
	config.ServerName = t.SNI
	config.NextProtos = t.ALPN
	config.MinVersion, config.MaxVersion = versions(t.MinVersion, t.MaxVersion)
	config.CipherSuites = t.CipherSuites
	config.DynamicRecordSizingDisabled = true
	return config, nil
}

// sessions is how many servers a client configuration remembers.
const sessions = 64

var errNoIdentity = errors.New("the TLS context wants the workload's SVID, and this proxy has no identity")

func versions(low, high uint16) (uint16, uint16) {
	if low == 0 {
		low = tls.VersionTLS12
	}
	if high == 0 {
		high = tls.VersionTLS13
	}
	return low, high
}

// matcher accepts the SPIFFE IDs that one of the names matches; all where there is none.
func matcher(names []NameMatch) spiffeid.Matcher {
	if len(names) == 0 {
		return spiffeid.MatchAny()
	}
	return func(id spiffeid.ID) error {
		if slices.ContainsFunc(names, func(n NameMatch) bool { return n.matches(id.String()) }) {
			return nil
		}
		return fmt.Errorf("%s is none of %s", id, nameList(names))
	}
}

func (n NameMatch) matches(s string) bool {
	if n.Prefix {
		return strings.HasPrefix(s, n.Value)
	}
	return s == n.Value
}

func nameList(names []NameMatch) string {
	var out []string
	for _, n := range names {
		if n.Prefix {
			out = append(out, n.Value+"*")
			continue
		}
		out = append(out, n.Value)
	}
	return strings.Join(out, ", ")
}

// A peerError says why a certificate is not believed whose roots come from a file.
type peerError struct {
	label string
	err   error
}

func (e *peerError) Error() string { return e.err.Error() }
func (e *peerError) Unwrap() error { return e.err }

// Label is one of the words that package svid has for causes.
func (e *peerError) Label() string { return e.label }

// peerOf says what the certificate tells of the other side.
func peerOf(s *tls.ConnectionState) Peer {
	if len(s.PeerCertificates) == 0 || len(s.PeerCertificates[0].URIs) == 0 {
		return Peer{}
	}
	id := s.PeerCertificates[0].URIs[0].String()
	out := Peer{Principal: id}
	if rest, ok := strings.CutPrefix(id, "spiffe://"); ok {
		if parts := strings.Split(rest, "/"); len(parts) == 5 && parts[1] == "ns" {
			out.Namespace = parts[2]
		}
	}
	return out
}
