package plan

import (
	"strings"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/metrics"
)

// Words of a graph's JSON shape.
const (
	nodeOutside = "outside"
	lockBroken  = "broken"
)

// Callers gives what a graph saw of who calls whom, in the form that Known takes: a flow for each edge with traffic whose
// caller is a workload of the manifests, or one that nobody can name. A graph knows callers that no series names, by their
// certificate or by what their own sidecar counts; whoever is left without a name, and is refused or rare, is not among them.
// It is nil where the graph has no window, so that nobody looked.
func Callers(g *api.Graph) *metrics.Observation {
	if g.Window == nil {
		return nil
	}
	out := &metrics.Observation{Start: g.Window.Start, End: g.Window.End, Newest: g.Window.Newest, Down: g.Down}
	at := make(map[string]*api.GraphNode, len(g.Nodes))
	for i := range g.Nodes {
		at[g.Nodes[i].ID] = &g.Nodes[i]
	}
	type door struct {
		to   string
		port uint32
	}
	named := map[door]float64{} // traffic of callers with a name
	for i := range g.Edges {
		if e := &g.Edges[i]; e.Observed != nil && at[e.From] != nil && at[e.From].Kind != nodeOutside {
			named[door{e.To, e.Port}] += e.Observed.Requests + e.Observed.Connections
		}
	}
	for i := range g.Edges {
		e := &g.Edges[i]
		from := at[e.From]
		if e.Observed == nil || from == nil {
			continue
		}
		_, host, _ := strings.Cut(e.To, "/")
		f := metrics.Flow{Reporter: metrics.Destination, Service: metrics.Service{Host: host}, Port: uint16(e.Port),
			Requests: e.Observed.Requests, Connections: e.Observed.Connections}
		switch {
		case from.Kind == nodeOutside && (e.Lock == lockBroken || stray(e.Observed, named[door{e.To, e.Port}])):
			continue // who knocks and mostly fails, as probes do, is nobody that a change would break
		case from.Kind == nodeOutside:
		case from.Ref != nil:
			f.Source = metrics.Peer{Namespace: from.Ref.Namespace, Workload: from.Ref.Name}
		default:
			continue
		}
		out.Flows = append(out.Flows, f)
	}
	return out
}

// What two sidecars count of the same requests differs by what happens between two looks at them, and where no certificate
// tells the caller, the rest has no name. So callers without a name count from so many a second, and such a share of what
// those with a name do, on.
const (
	strayRate  = 0.1
	strayShare = 0.25
)

func stray(o *api.Observed, named float64) bool {
	rate := o.Requests + o.Connections
	return rate < strayRate || rate < strayShare*named
}
