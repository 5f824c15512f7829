package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/oarlock/oarlock/probe"
)

// probeRun makes the probe: from here, or from within the sidecar of --as. Where a mesh runs, the target may be a service
// of it, whose address takes the place of the name.
func (a *app) probeRun(ctx context.Context, f *probeFlags, p *probe.Prober) (func(context.Context) (*probe.Result, error), error) {
	inside := f.as != "" && f.as != outsideWord
	if at, err := netip.ParseAddrPort(p.Address); err == nil && !inside {
		if l, err := a.probeMesh(ctx, false); err == nil && l != nil && l.resolver.ByAddress(at.Addr().String()) != nil {
			p.Dial = l.run.dial()
		}
		return p.Run, nil
	}
	if inside {
		if err := a.engineOnly("probe --as"); err != nil {
			return nil, err
		}
	}
	l, err := a.probeMesh(ctx, inside)
	if errors.Is(err, errNoMesh) && inside {
		return nil, unreadable(fmt.Errorf("probe %s as %q: that runs inside a sidecar, and %w", p.Address, f.as, errNoMesh), "oarlock up -f DIR")
	}
	if err != nil {
		return nil, err
	}
	if l == nil {
		return p.Run, nil
	}
	if err := a.probeService(ctx, l, p); err != nil {
		return nil, err
	}
	if !inside {
		p.Dial = l.run.dial()
		return p.Run, nil
	}
	pod, err := a.chosenPod(l.status, f.as)
	if err != nil {
		return nil, err
	}
	s, err := l.run.sidecar(pod)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*probe.Result, error) { return s.probe(ctx, p) }, nil
}

// dial reaches pods, whose network may be one of its own; nil is from here, where nothing runs them.
func (m *runningMesh) dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	if m.engine == nil {
		return nil
	}
	return m.engine.Dial
}

// probeMesh loads the running mesh; nil where there is none and none is needed.
func (a *app) probeMesh(ctx context.Context, needed bool) (*loaded, error) {
	l, err := a.loadRunning(ctx)
	if err == nil || needed || a.flags.mesh != "" || a.flags.dir != "" {
		return l, err
	}
	if names, _ := runningNames(); len(names) == 0 {
		return nil, nil
	}
	return nil, err
}

// probeService puts the address of a pod in the place of SERVICE:PORT. A name that the mesh does not know is left to DNS.
func (a *app) probeService(ctx context.Context, l *loaded, p *probe.Prober) error {
	if _, err := netip.ParseAddrPort(p.Address); err == nil {
		return nil
	}
	from := a.namespace()
	if from == "" {
		from = "default"
	}
	t, err := a.callee(l, p.Address, from)
	if err != nil {
		if host, port, serr := net.SplitHostPort(p.Address); serr == nil && host != "" && digits(port) && len(l.resolver.Services(host, from)) == 0 {
			if _, derr := net.DefaultResolver.LookupHost(ctx, host); derr == nil {
				return nil
			}
		}
		return err
	}
	if t.Service == nil {
		return nil
	}
	w, port := l.resolver.PodBehind(t)
	if w == nil {
		try := "oarlock ps"
		if l.run.engine == nil {
			try = ""
		}
		return unreadable(fmt.Errorf("probe %s: no pod behind it has an address", p.Address), try)
	}
	named := p.Address
	p.Address = net.JoinHostPort(w.Addresses[0], strconv.Itoa(int(port)))
	if p.Host == "" {
		p.Host = fmt.Sprintf("%s:%d", t.Service.Hostname, t.Port)
	}
	a.note("oarlock: %s is %s at %s", named, w.Ref.Name+"."+w.Ref.Namespace, p.Address)
	return nil
}

// sidecarProbe is what a sidecar is asked to try.
type sidecarProbe struct {
	Address      string   `json:"address"`
	ServerName   string   `json:"serverName,omitempty"`
	Host         string   `json:"host,omitempty"`
	ALPN         []string `json:"alpn,omitempty"`
	NoRequest    bool     `json:"noRequest,omitempty"`
	Milliseconds int64    `json:"timeoutMilliseconds,omitempty"`
}

// probe lets the sidecar try, as its workload.
func (s *podAdmin) probe(ctx context.Context, p *probe.Prober) (*probe.Result, error) {
	body, err := json.Marshal(sidecarProbe{p.Address, p.ServerName, p.Host, p.ALPN, p.NoRequest, p.Timeout.Milliseconds()})
	if err != nil {
		return nil, err
	}
	text, err := s.ask(ctx, "/probe", body)
	if err != nil {
		return nil, err
	}
	var r probe.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, s.failed(err)
	}
	if len(r.Attempts) == 0 {
		return nil, s.failed(errors.New("it tried nothing"))
	}
	return &r, nil
}
