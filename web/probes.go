package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/probe"
	"github.com/oarlock/oarlock/resolve"
)

// Bounds of probes.
const (
	maxProofs     = 4096
	probeTime     = 20 * time.Second // for one port
	probesAtOnce  = 4
	gentleTimeout = 2 * time.Second
)

// proofs are the newest results of each client and port.
type proofs struct {
	slots chan struct{} // of probes at a time

	mu         sync.Mutex
	list       map[proofKey]graph.Proof
	generation uint64
}

type proofKey struct {
	from, to string
	port     uint32
}

func newProofs() *proofs {
	return &proofs{list: map[proofKey]graph.Proof{}, slots: make(chan struct{}, probesAtOnce)}
}

// add keeps a result in the place of the one before. Of too many, the oldest goes.
func (p *proofs) add(one graph.Proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	p.list[proofKey{one.From, one.To, one.Port}] = one
	if len(p.list) <= maxProofs {
		return
	}
	var oldest proofKey
	for k, e := range p.list {
		if have, ok := p.list[oldest]; !ok || e.At.Before(have.At) {
			oldest = k
		}
	}
	delete(p.list, oldest)
}

// all gives them in a fixed order, and a number that is another when they are.
func (p *proofs) all() ([]graph.Proof, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]graph.Proof, 0, len(p.list))
	for _, e := range p.list {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b graph.Proof) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.Port, b.Port), cmp.Compare(a.From, b.From))
	})
	return out, p.generation
}

// SidecarProbe is what a sidecar is asked to try, at /probe of its admin socket: as its workload, whose key stays there.
type SidecarProbe struct {
	Address      string   `json:"address"`
	ServerName   string   `json:"serverName,omitempty"`
	Host         string   `json:"host,omitempty"`
	ALPN         []string `json:"alpn,omitempty"`
	NoRequest    bool     `json:"noRequest,omitempty"`
	Milliseconds int64    `json:"timeoutMilliseconds,omitempty"`
}

// probe is POST /v1/probe.
func (a *API) probe(r *http.Request) (any, error) {
	var ask api.Probe
	if err := decode(r, "probe", &ask); err != nil {
		return nil, err
	}
	n := a.opt.Mesh.Now()
	target, err := servicePort(n.resolver(), ask.To)
	if err != nil {
		return nil, err
	}
	var from *mesh.Workload
	if ask.From != "" {
		if from, err = clientPod(n, ask.From); err != nil {
			return nil, err
		}
	}
	select {
	case a.proofs.slots <- struct{}{}:
		defer func() { <-a.proofs.slots }()
	case <-r.Context().Done():
		return nil, wrong(http.StatusServiceUnavailable, "probe %s: %d probes are under way already", ask.To, probesAtOnce)
	}
	one := a.try(r.Context(), n, target, from, probe.DefaultTimeout)
	out := &api.ProbeAnswer{Head: head("ProbeAnswer"), To: ask.To, From: ask.From, Proven: proven(&one), Attempts: []string{}}
	if one.Result != nil {
		for i := range one.Result.Attempts {
			out.Attempts = append(out.Attempts, one.Result.Attempts[i].String())
		}
	}
	return out, nil
}

// proven is a proof in its JSON shape.
func proven(p *graph.Proof) api.Proven {
	out := api.Proven{From: p.From, At: p.At, Problem: p.Problem}
	if p.Result != nil {
		out.Mode, out.Proof = string(p.Result.Mode), p.Result.Proof
	}
	return out
}

// servicePort finds NS/SERVICE:PORT, where the port is a number or a name.
func servicePort(r *resolve.Resolver, word string) (resolve.Target, error) {
	name, port, _ := strings.Cut(word, ":")
	namespace, name, ok := strings.Cut(name, "/")
	if !ok || namespace == "" || name == "" || port == "" {
		return resolve.Target{}, bad("find service %.100q: want NS/SERVICE:PORT", word)
	}
	for _, s := range r.Snapshot().Services {
		if s.Ref.Namespace != namespace || s.Ref.Name != name {
			continue
		}
		for i := range s.Ports {
			if p := &s.Ports[i]; strconv.Itoa(int(p.Number)) == port || p.Name == port {
				return resolve.Target{Service: s, Port: p.Number, UDP: p.UDP()}, nil
			}
		}
	}
	return resolve.Target{}, wrong(http.StatusNotFound, "find service %.100q: there is no such service port", word)
}

// clientPod finds a pod with a sidecar, by its own name or by its workload's.
func clientPod(n *Now, word string) (*mesh.Workload, error) {
	found, _ := FindClients(n.resolver().Snapshot(), word, "")
	for _, w := range found {
		if w.Ref.Kind == mesh.KindPod && w.Capture == mesh.CaptureSidecar {
			return w, nil
		}
	}
	return nil, wrong(http.StatusNotFound, "find client %.100q: no pod with a sidecar runs under that name", word)
}

// try probes a port of a service at one pod behind it, and keeps what came of it.
func (a *API) try(ctx context.Context, n *Now, t resolve.Target, from *mesh.Workload, timeout time.Duration) graph.Proof {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	out := graph.Proof{To: serviceNode(t.Service), Port: t.Port, At: time.Now()}
	if from != nil {
		out.From = workloadNode(from)
	}
	result, err := a.run(ctx, n, t, from, timeout)
	switch {
	case err != nil:
		out.Problem = err.Error()
	case !result.Reached():
		out.Problem = "nothing answers at " + result.Address
	default:
		out.Result = result
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		a.proofs.add(out)
	}
	return out
}

func (a *API) run(ctx context.Context, n *Now, t resolve.Target, from *mesh.Workload, timeout time.Duration) (*probe.Result, error) {
	w, port := n.resolver().PodBehind(t)
	switch {
	case t.UDP:
		return nil, errors.New("it is a port of UDP")
	case w == nil:
		return nil, errors.New("no pod behind it runs")
	}
	if _, err := netip.ParseAddr(w.Addresses[0]); err != nil {
		return nil, fmt.Errorf("%s is no address", w.Addresses[0])
	}
	address := net.JoinHostPort(w.Addresses[0], strconv.Itoa(int(port)))
	host := net.JoinHostPort(t.Service.Hostname, strconv.Itoa(int(t.Port)))
	if from == nil {
		p := &probe.Prober{Address: address, Host: host, Timeout: timeout, Dial: a.opt.Dial}
		if timeout == gentleTimeout {
			p.ALPN = gentleALPN()
		}
		return p.Run(ctx)
	}
	body, err := json.Marshal(SidecarProbe{Address: address, Host: host, Milliseconds: timeout.Milliseconds()})
	if err != nil {
		return nil, err
	}
	var result probe.Result
	if err := a.adminJSON(ctx, from.Ref, "/probe", body, &result); err != nil {
		return nil, err
	}
	if len(result.Attempts) == 0 {
		return nil, errors.New("its sidecar tried nothing")
	}
	return &result, nil
}

// probeAll tries a port of the mesh from outside every now and then, those first that were tried longest ago, until ctx ends.
// A port is sent what Prober sends, GET / at most.
func (a *API) probeAll(ctx context.Context) {
	for {
		// Meshes that were started together shall not all knock at one moment.
		pause(ctx, a.opt.ProbeEvery/2+rand.N(a.opt.ProbeEvery))
		if ctx.Err() != nil {
			return
		}
		n := a.opt.Mesh.Now()
		if t, ok := a.nextTarget(n); ok {
			a.try(ctx, n, t, nil, gentleTimeout)
		}
	}
}

// nextTarget is the service port whose proof from outside is oldest, one without a proof first.
func (a *API) nextTarget(n *Now) (best resolve.Target, found bool) {
	if n.Published == nil {
		return best, false
	}
	a.proofs.mu.Lock()
	defer a.proofs.mu.Unlock()
	var oldest time.Time
	for _, s := range n.Published.Snapshot().Services {
		if s.External || s.Entry() {
			continue // what is outside of the mesh is not ours to knock at
		}
		for i := range s.Ports {
			t := resolve.Target{Service: s, Port: s.Ports[i].Number}
			at := a.proofs.list[proofKey{"", serviceNode(s), t.Port}].At
			if s.Ports[i].UDP() || found && !at.Before(oldest) {
				continue
			}
			if w, _ := n.Published.PodBehind(t); w != nil {
				best, oldest, found = t, at, true
			}
		}
	}
	return best, found
}

// gentleALPN is what is offered by a probe that nobody asked for: enough to tell the modes apart.
func gentleALPN() []string { return []string{"istio", probe.NoALPN} }
