// Package graph draws who calls whom, with what is known of the TLS between them.
//
//	g := graph.Build(resolve.New(snapshot))
//	err := g.WriteDOT(os.Stdout)
//
// YAML rarely says who calls whom, so [Build] takes what is declared and keeps the source of each edge: annotations and
// arguments of workloads ([mesh.Call]), routes of gateways, and exact egress hosts of Sidecars, which say what a workload
// may call and are therefore a weak source. It invents no edge.
//
// [Graph.Observe] puts two more witnesses on the edges: what traffic did, joined from the reports of both ends, and what
// probes prove. It adds edges for what was seen and nobody declares, gives every edge a [Lock] with its reason, and says in a
// [Finding] where the witnesses disagree. A lock is about what is seen: without traffic it is unknown, whatever the verdict
// says, and unknown never looks like open.
//
//	g.Observe(graph.Witnesses{Now: time.Now(), Observed: observation})
//	g = g.Collapse() // namespaces as single nodes, if there are many
//	layout = g.Layout(layout)
//	err := g.WriteSVGAt(file, graph.Dark, layout)
//
// [Graph.Layout] draws callers left of what they call and keeps what was there in its place. docs/graph.md has all the rules.
//
// Everything is in a fixed order, so that two graphs of one snapshot and one observation are equal byte for byte. A graph is
// one goroutine's while it is made, and only read after that.
package graph
