// Package plan says what a change does to every connection before it is made: what it breaks, mends, opens and locks.
//
//	impact := plan.Compare(resolve.New(before), resolve.New(after), plan.Known{Calls: calls, Observed: seen})
//	for _, e := range impact.Effects {
//		fmt.Println(e.Kind, e.Text)
//	}
//
// Both meshes are asked for all of their verdicts, clients being grouped into classes that resolve alike ([resolve.Table]).
// A client is a workload, whose pods count as one, or a caller without a sidecar; the classes of the two meshes are laid
// over each other workload by workload, so that the cost grows with classes times ports and never with workloads times
// ports. What changes for many alike is one effect with a number; a client of which it is known that it calls, because the
// manifests declare it or traffic was seen, has one of its own.
//
// The package judges and does nothing else: no input, no output, no clock. What it says is in a fixed order.
package plan
