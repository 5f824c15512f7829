package difftest

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// AskOarlock gives oarlock's answers about a mesh, or the first error in reading it.
func AskOarlock(docs []Doc) (Answers, error) {
	files := []manifest.File{{Name: "mesh.yaml", Data: Render(docs)}}
	snap, problems := manifest.Load(files, manifest.Options{Dialect: mesh.DialectCurrent})
	for _, p := range problems {
		if p.Severity == mesh.Error {
			return nil, p
		}
	}
	r := &reader{resolve.New(snap), snap, Answers{}}
	for _, d := range docs {
		if d.Sidecar() {
			if err := r.ask(d, docs); err != nil {
				return nil, err
			}
		}
	}
	return r.out, nil
}

type reader struct {
	*resolve.Resolver
	snap *mesh.Snapshot
	out  Answers
}

func (r *reader) ask(pod Doc, docs []Doc) error {
	i := slices.IndexFunc(r.snap.Workloads, func(w *mesh.Workload) bool {
		return w.Ref == mesh.Ref{Kind: mesh.KindPod, Namespace: pod.Namespace(), Name: pod.Name()}
	})
	if i < 0 {
		return fmt.Errorf("find pod %s/%s: not in the snapshot", pod.Namespace(), pod.Name())
	}
	w := r.snap.Workloads[i]
	for _, port := range serverPorts() {
		mode, _ := r.ServerMode(w, nil, uint32(port))
		r.out[serverKey(pod, port)] = mode.Word(mesh.DialectCurrent)
	}
	for _, q := range targets(docs) {
		q.Client = pod.Name() + "." + pod.Namespace()
		r.target(q, resolve.Client{Workload: w})
	}
	return nil
}

// target answers for the service that the client sees under a host. Where it sees none, any of them tells what becomes
// of its traffic.
func (r *reader) target(q Question, c resolve.Client) {
	var all, seen []*mesh.Service
	var namespaces []string
	for _, s := range r.snap.Services {
		if s.Hostname != q.Host {
			continue
		}
		all = append(all, s)
		if r.Visible(c, s) {
			seen = append(seen, s)
			namespaces = append(namespaces, s.Ref.Namespace)
		}
	}
	sort.Strings(namespaces)
	r.out[q.scope()] = strings.Join(slices.Compact(namespaces), " and ")
	if len(seen) == 0 {
		r.out[q.scope()] = "hidden"
		seen = all
	}
	s := withPort(seen, q.Port)
	e := r.Explain(c, resolve.Target{Service: s, Port: uint32(q.Port), Subset: q.Subset})
	hidden := e.Verdict.Outbound != resolve.OutboundCluster
	switch {
	case q.Subset != "" && (hidden || !slices.Contains(r.Subsets(c, s), q.Subset)):
		r.out[q.key("outbound")] = "no subset"
	case hidden:
		r.out[q.key("outbound")] = map[resolve.Outbound]string{
			resolve.OutboundPassthrough: "passthrough", resolve.OutboundBlackHole: "blackhole", resolve.OutboundDirect: "direct",
		}[e.Verdict.Outbound]
	default:
		r.out[q.key("outbound")] = "cluster"
		r.endpoints(q, e)
	}
	if v := r.Resolve(c, resolve.Target{Service: s, Port: uint32(q.Port), Subset: q.Subset}); v != e.Verdict {
		r.out[q.key("resolve")] = fmt.Sprintf("Resolve gives %+v, Explain %+v", v, e.Verdict)
	}
}

func withPort(services []*mesh.Service, port int) *mesh.Service {
	for _, s := range services {
		if s.Port(uint32(port)) != nil {
			return s
		}
	}
	return services[0]
}

func (r *reader) endpoints(q Question, e *resolve.Explanation) {
	for _, class := range e.Endpoints {
		mode := "plaintext"
		if class.Sends != mesh.ClientUnset && class.Sends != mesh.ClientDisable {
			mode = class.Sends.String()
		}
		for _, w := range class.Workloads {
			if class.Port != 0 && len(w.Addresses) > 0 {
				r.out[q.key("to "+w.Addresses[0]+":"+strconv.Itoa(int(class.Port)))] = mode
			}
		}
		if len(class.Workloads) == 0 {
			r.out[q.key("to *")] = mode
		}
	}
	if t := e.TLS; t != nil && t.Mode == mesh.ClientIstioMutual {
		names := slices.Clone(t.SANs)
		sort.Strings(names)
		r.out[q.key("sni")] = t.SNI
		r.out[q.key("names")] = strings.Join(names, " ")
		r.out[q.key("alpn")] = strings.Join(t.ALPN, " ")
	}
}
