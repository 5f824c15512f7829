//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// What was observed on every edge of every example is what was declared, at both ends, and nothing else.
func TestEveryEdge(t *testing.T) {
	for _, c := range []struct {
		example string
		edges   int
	}{
		{"bookinfo", 7}, {"bookinfo-current", 7}, {"backyards", 7}, {"backyards-current", 7},
		{"foo-bar", 3}, {"foo-bar-current", 3}, {"foo-bar-strict-mesh", 3}, {"challenges", 6}, {"challenges-current", 6},
	} {
		t.Run(c.example, func(t *testing.T) {
			t.Parallel()
			m := up(t, c.example)
			m.synced()
			m.everyEdge(t, c.edges)
		})
	}
}

// everyEdge judges all edges of a mesh, of which there are so many.
func (m *liveMesh) everyEdge(t *testing.T, want int) {
	t.Helper()
	edges := m.edges()
	if len(edges) != want {
		t.Fatalf("%d edges can be judged, want %d: %+v", len(edges), want, edges)
	}
	// What began before all was in force may end after it: it is over once everybody has been heard since.
	m.judge(edges, m.counts(edges))
	since := m.counts(edges)
	m.judge(edges, since)
	for i, now := range m.counts(edges) {
		if wrong := edges[i].wrong(now.less(since[i])); wrong != "" {
			t.Errorf("%s: %s", &edges[i], wrong)
		}
	}
}

// An edge is one of an EdgeList, with the pods of its source.
type edge struct {
	From, To string
	Port     uint32
	Declared *struct {
		Status, Server, ClientMode, Wire, Cause string
	}
	fromNS, from, host, to, toNS string
	source                       api.Pod
	served                       bool // by a pod with a sidecar
}

func (e *edge) String() string {
	return fmt.Sprintf("%s → %s:%d, %s (%s)", e.From, e.To, e.Port, e.Declared.Status, e.Declared.Wire)
}

// edges are those that a manifest asks for. What comes from elsewhere has no source to look at.
func (m *liveMesh) edges() []edge {
	m.t.Helper()
	var list struct{ Items []edge }
	out, _ := m.command("edges", "-A", "-o", "json").Output() // exit status 1: some are in conflict
	if err := json.Unmarshal(out, &list); err != nil {
		m.t.Fatalf("oarlock edges: %v\n%s", err, out)
	}
	pods := m.status().Pods
	edges := slices.DeleteFunc(list.Items, func(e edge) bool { return !strings.HasPrefix(e.From, "workload/") })
	for i := range edges {
		e := &edges[i]
		workload, host := strings.Split(e.From, "/"), strings.TrimPrefix(e.To, "service/")
		e.fromNS, e.host = workload[1], host
		e.from, _, _ = strings.Cut(workload[2], ".")
		name := strings.SplitN(host, ".", 3)
		e.to, e.toNS = name[0], name[1]
		of := slices.IndexFunc(pods, func(p api.Pod) bool {
			return p.Namespace == e.fromNS && (p.Name == e.from || p.Owner != nil && p.Owner.Name == e.from)
		})
		if of < 0 || e.Declared == nil {
			m.t.Fatalf("%s → %s: no pod, or nothing is declared", e.From, e.To)
		}
		e.source = pods[of]
		e.served = slices.ContainsFunc(pods, func(p api.Pod) bool {
			return p.Sidecar && p.Namespace == e.toNS && strings.HasPrefix(p.Name, e.to)
		})
	}
	return edges
}

// A tally is what both ends have counted of an edge: requests and connections by reporter and security, answers by code,
// failed handshakes by reporter, handshakes of TLS by the client.
type tally map[string]float64

func (t tally) less(before tally) tally {
	out := maps.Clone(t)
	for k, v := range before {
		out[k] -= v
	}
	return out
}

// counts asks all sidecars, and gives a tally for each edge.
func (m *liveMesh) counts(edges []edge) []tally {
	m.t.Helper()
	out := make([]tally, len(edges))
	for i := range out {
		out[i] = tally{}
	}
	for _, p := range m.sidecars() {
		for _, s := range m.scrape(p) {
			for i := range edges {
				if key := edges[i].counted(p, s); key != "" {
					out[i][key] += s.value
				}
			}
		}
	}
	return out
}

// counted says as what a series of a pod's sidecar counts for an edge, "" where it does not.
func (e *edge) counted(p api.Pod, s sample) string {
	l := s.labels
	mine := l["source_workload"] == e.from && l["source_workload_namespace"] == e.fromNS
	here := l["destination_service"] == e.host
	port := l["destination_port"] == fmt.Sprint(e.Port)
	switch name, by := s.name, l["reporter"]; {
	case strings.HasPrefix(name, "oarlock_requests_") || strings.HasPrefix(name, "oarlock_tcp_connections_opened_"):
		if by == "source" && mine && here && port {
			return "source " + l["security"]
		}
	case name == "istio_requests_total" || name == "istio_tcp_connections_opened_total":
		security := l["connection_security_policy"]
		switch {
		case by == "source" && mine && here:
			return "answer " + l["response_code"]
		// A certificate says who called. Without one it may have been anybody: nobody may have.
		case by == "destination" && here && (security != "mutual_tls" || l["source_principal"] == e.principal()):
			return "destination " + security
		}
	case name == "oarlock_handshake_failures_total":
		if by == "source" && mine && here {
			return "failures source"
		}
		if by == "destination" && l["destination_workload_namespace"] == e.toNS && strings.HasPrefix(l["destination_workload"], e.to) {
			return "failures destination"
		}
	case name == "envoy_cluster_ssl_handshake":
		if p.Name == e.source.Name && p.Namespace == e.fromNS && l["envoy_cluster_name"] == fmt.Sprintf("outbound|%d||%s", e.Port, e.host) {
			return "handshakes"
		}
	}
	return ""
}

func (e *edge) principal() string {
	return "spiffe://cluster.local/ns/" + e.fromNS + "/sa/" + e.source.ServiceAccount
}

// verdict says what an edge's declaration makes grow, and what it forbids.
func (e *edge) verdict() (grows, never []string) {
	switch e.Declared.Wire {
	case "mTLS":
		grows, never = []string{"source mutual_tls", "destination mutual_tls"}, []string{"source none", "destination none", "failures source"}
	case "plaintext":
		grows, never = []string{"source none", "destination none"}, []string{"source mutual_tls", "destination mutual_tls", "handshakes"}
	case "TLS": // of the application's own at the server, where no sidecar looks into it
		grows, never = []string{"source none", "destination none", "handshakes"}, []string{"source mutual_tls", "destination mutual_tls"}
	case "refused":
		grows, never = []string{"answer 503", "failures destination"}, []string{"answer 200", "destination none", "destination mutual_tls"}
	}
	missing := func(key string) bool {
		return !e.source.Sidecar && !strings.HasSuffix(key, " destination") && !strings.HasPrefix(key, "destination ") ||
			!e.served && (strings.HasSuffix(key, " destination") || strings.HasPrefix(key, "destination "))
	}
	return slices.DeleteFunc(grows, missing), slices.DeleteFunc(never, missing)
}

// wrong says what was seen that is not as declared.
func (e *edge) wrong(seen tally) string {
	_, never := e.verdict()
	for _, key := range never {
		if seen[key] > 0 {
			return fmt.Sprintf("%v × %s: %v", seen[key], key, seen)
		}
	}
	return ""
}

// judge waits until every edge has shown what is declared since the counts. Who does not call by himself, or keeps one connection
// forever, is made to.
func (m *liveMesh) judge(edges []edge, since []tally) {
	m.t.Helper()
	m.eventually("every edge shows what is declared", func() (string, bool) {
		text := ""
		now := m.counts(edges)
		for i := range edges {
			e, seen := &edges[i], now[i].less(since[i])
			grows, _ := e.verdict()
			if len(grows) == 0 {
				m.t.Fatalf("%s: a declaration that this test does not know", e)
			}
			if !slices.ContainsFunc(grows, func(key string) bool { return seen[key] == 0 }) {
				continue
			}
			text += fmt.Sprintf("%s: %v\n", e, seen)
			if e.source.Sidecar {
				m.curl(e.source, "-p", "-o", "/dev/null", fmt.Sprintf("http://%s.%s:%d/health", e.to, e.toNS, e.Port))
			}
		}
		return text, text == ""
	})
}
