// Package graph draws who calls whom, with what is known of the TLS between them.
//
//	g := graph.Build(resolve.New(snapshot))
//	err := g.WriteDOT(os.Stdout)
//
// YAML rarely says who calls whom, so [Build] takes what is declared and keeps the source of each edge: annotations and
// arguments of workloads ([mesh.Call]), routes of gateways, and exact egress hosts of Sidecars, which say what a workload
// may call and are therefore a weak source. It invents no edge.
//
// An [Edge] carries the declared verdict of package resolve and a [Lock]. The lock is about what is seen: without
// traffic it is unknown, whatever the verdict says, and unknown never looks like open.
//
// Everything is in a fixed order, so that two graphs of one snapshot are equal byte for byte.
package graph
