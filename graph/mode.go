package graph

import (
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// modes gathers what the ports of something want: one mode, or MIXED.
type modes struct {
	mode  resolve.Server
	known bool
}

func (m *modes) add(s resolve.Server) {
	if m.known && m.mode != s {
		s = resolve.ServerMixed
	}
	m.mode, m.known = s, true
}

func (m *modes) String() string {
	if !m.known {
		return ""
	}
	return m.mode.String()
}

// setModes gives every namespace, service and workload the mode that its ports have in common. A gateway has none, since no
// policy of mutual TLS is enforced there, and a namespace has that of its workloads with a sidecar.
func (g *Graph) setModes() {
	r := g.resolver
	names := make(map[string]*modes)
	of := make(map[string]string, len(g.Nodes))
	for _, w := range r.Snapshot().Workloads {
		m := workloadModes(r, w)
		of[workloadID(w.Ref)] = m.String()
		if !m.known || w.Capture != mesh.CaptureSidecar {
			continue
		}
		if names[w.Ref.Namespace] == nil {
			names[w.Ref.Namespace] = &modes{}
		}
		names[w.Ref.Namespace].add(m.mode)
	}
	for _, s := range r.Snapshot().Services {
		if id := serviceID(s); !s.External && of[id] == "" {
			of[id] = serviceModes(r, s)
		}
	}
	for ns, m := range names {
		of["namespace/"+ns] = m.String()
	}
	for i := range g.Nodes {
		g.Nodes[i].Mode = of[g.Nodes[i].ID]
	}
}

func workloadModes(r *resolve.Resolver, w *mesh.Workload) modes {
	var m modes
	if w.Router {
		return m
	}
	for _, s := range r.ServicesOf(w) {
		for _, port := range tcpPorts(s) {
			server, _ := r.ServerMode(w, s, port)
			m.add(server)
		}
	}
	if !m.known && !r.Snapshot().Dialect.Legacy() {
		// Port 0 is nobody's, so the workload's own mode decides. In a legacy dialect no policy covers what no Service names.
		server, _ := r.ServerMode(w, nil, 0)
		m.add(server)
	}
	return m
}

func serviceModes(r *resolve.Resolver, s *mesh.Service) string {
	var m modes
	for _, port := range tcpPorts(s) {
		m.add(r.Resolve(resolve.Client{}, resolve.Target{Service: s, Port: port}).Server)
	}
	return m.String()
}
