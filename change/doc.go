// Package change turns an intent into the fewest edits.
//
// An intent is what a person wants of a resource: `require bookinfo` or `allow backyards-demo/bookings:8080`. The answer is
// a [Plan]: a list of [mesh.Change], each of which creates, updates or deletes one object, with what the person should
// know besides.
//
//	res, err := change.ParseResource("backyards-demo/bookings:8080")
//	plan, err := change.MTLS(snapshot, change.Allow, res, change.Options{})
//	edits, err := manifest.Apply(files, plan.Changes)
//	after, _ := manifest.Load(edited, options)
//	err = change.Verify(snapshot, after, plan)
//
// A verb sets the mode of one scope (mesh, namespace, service, port) and of nothing else: policies of narrower scopes
// stay as they are and are named in the plan's notes. [Unset] removes what the scope itself says, so that the wider one
// applies again.
//
// The two dialects have a file each. In the legacy one a policy counts whole, so a narrower one copies the origins and the
// other peers of the one that it hides, and policies for a service and for one of its ports are kept disjoint, because
// Istio does not say which of the two would win. In the current one a Service port becomes workload ports, and the one
// PeerAuthentication that a workload obeys is edited.
//
// With [Options].Clients the plan also edits DestinationRules until no meshed client is in conflict with what was asked.
//
// The package is pure and trusts nobody, itself included: [Verify] compares the mode of every port before and after by
// package resolve. It does not write files (package yamldir) nor say how much traffic a change would touch (package plan).
package change
