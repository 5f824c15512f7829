package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/svid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// openIdentity waits for the first SVID, if the sidecar is to have any.
func (s *sidecar) openIdentity(ctx context.Context) error {
	id := s.file.Identity
	if id == nil {
		return nil
	}
	opt, err := s.identityOptions(id)
	if err != nil {
		return err
	}
	obtain, err := s.obtainer(id)
	if err != nil {
		return err
	}
	counted := func(ctx context.Context) (*svid.Material, error) {
		m, err := obtain(ctx)
		if err != nil {
			s.series.SVID().Failed()
			if text := err.Error(); s.identity.Load() == nil {
				s.wait("its identity: " + text)
			}
		}
		return m, err
	}
	source, err := svid.Open(ctx, counted, opt)
	if err != nil {
		return fmt.Errorf("obtain identity: %w", err)
	}
	s.identity.Store(source)
	done := s.follow(source)
	s.closers = append(s.closers, func() error { done(); return source.Close() })
	return nil
}

func (s *sidecar) identityOptions(id *bootstrap.Identity) (svid.Options, error) {
	opt := svid.Options{Log: s.log}
	td, err := spiffeid.TrustDomainFromString(cmp.Or(id.TrustDomain, defaultTrustDomain))
	if err != nil {
		return opt, configError("read identity.trustDomain %q: %w", id.TrustDomain, err)
	}
	for _, alias := range id.Aliases {
		a, err := spiffeid.TrustDomainFromString(alias)
		if err != nil {
			return opt, configError("read identity.trustDomainAliases %q: %w", alias, err)
		}
		opt.Aliases = append(opt.Aliases, a)
	}
	if n := s.file.Node; n.Namespace != "" && n.ServiceAccount != "" {
		if opt.ID, err = spiffeid.FromSegments(td, "ns", n.Namespace, "sa", n.ServiceAccount); err != nil {
			return opt, configError("read node: namespace %q and serviceAccount %q make no SPIFFE ID: %w", n.Namespace, n.ServiceAccount, err)
		}
	}
	return opt, nil
}

func (s *sidecar) obtainer(id *bootstrap.Identity) (func(context.Context) (*svid.Material, error), error) {
	if f := id.Files; f != nil {
		for _, name := range []string{f.Key, f.Chain, f.Roots} {
			if _, err := os.Stat(name); err != nil {
				return nil, configError("read identity.files: %w", err)
			}
		}
		files := &svid.Files{Key: f.Key, Chain: f.Chain, Roots: f.Roots}
		return files.Obtain, nil
	}
	c := &svid.Client{Address: id.CSR.Address, ServerName: id.CSR.ServerName, TokenFile: id.CSR.TokenFile,
		RootsFile: id.CSR.RootsFile, TTL: time.Duration(id.CSR.TTL), Cluster: s.file.Node.ClusterID, Dial: s.dialControlPlane}
	return c.Obtain, nil
}

// follow counts each SVID until the function that it gives is called.
func (s *sidecar) follow(source *svid.Source) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed := source.Changed()
			leaf := source.State().Leaf
			s.series.SVID().Renewed(leaf.NotBefore, leaf.NotAfter)
			select {
			case <-changed:
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// principal is the workload's own SPIFFE ID; "" before it has an identity.
func (s *sidecar) principal() string {
	if id := s.identity.Load(); id != nil {
		return id.State().ID.String()
	}
	return ""
}

// dialFunc makes a connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer makes the connections of the sidecar's probes, which its capture leaves alone.
func dialer(c bootstrap.Capture) dialFunc {
	source := cmp.Or(c.Prober, c.Source)
	d := &net.Dialer{Control: markControl(c.Mark)}
	from := &net.Dialer{Control: d.Control, LocalAddr: localAddr(source)}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network == "unix" || !source.IsValid() {
			return d.DialContext(ctx, network, address)
		}
		return from.DialContext(ctx, network, address)
	}
}

func localAddr(source netip.Addr) net.Addr {
	if !source.IsValid() {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
}

// dialControlPlane connects to HOST:PORT or unix:PATH, from whatever address.
func (s *sidecar) dialControlPlane(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	d := &net.Dialer{Control: markControl(s.file.Capture.Mark)}
	return d.DialContext(ctx, network, address)
}
