// Package xds turns a mesh into the configuration of its sidecars, and serves it to them.
//
// The first half is pure. A [Translator] has one resolve.Resolver and makes the Envoy v3 resources of any node of that mesh,
// named and shaped as Istio of the snapshot's dialect does it:
//
//	t := xds.NewTranslator(resolver)
//	view := t.View(xds.Node{Workload: pod})
//	for _, r := range view.All(xds.Clusters) { ... }
//
// Listeners are virtualInbound on 15006, virtualOutbound on 15001, and those that it hands connections to by their original
// destination; the package knows nothing of how connections are captured. Gateways get the listeners of their Gateway
// objects, and gRPC clients without a sidecar those that they ask for by name. Which mode, rule or policy counts is never
// decided here: package resolve says so, and a test holds the two together, chain by chain and endpoint by endpoint.
//
// The second half is [Server], an ADS server for both variants of the protocol. Each resource is marshalled and hashed once
// for its content and shared by all nodes. A node's view is a list that nodes of one kind share and a short one of its own,
// and a push is the difference of two views: what is new in the order clusters, endpoints, listeners, routes, and then what
// is gone. A client that is slow gets the newest when it is ready and holds nobody up.
//
// No Envoy extension is configured that package proxy's sidecar would have to refuse; authorization, JSON web tokens,
// tracing and fault injection are not translated.
package xds
