// Package xdsclient keeps a sidecar's configuration the same as what a control plane says over xDS: Envoy's resources in, a
// proxy.Config out.
//
//	c, err := xdsclient.New(xdsclient.Options{Target: "unix:/run/xds", Node: node, Apply: p.Apply, AccessLog: logs})
//	err = c.Run(ctx) // until ctx ends; c.Dump, c.Status and c.Ignored may be asked meanwhile
//
// One stream (ADS; wire.go has both protocols, state of the world and incremental) subscribes to all clusters and listeners,
// and to the endpoints and routes that they name. Secrets are the sidecar's own and are not asked for.
//
// A session (session.go) takes responses into the state that the server wants. When nothing that it names is missing, or
// after a bounded wait, all of it becomes one proxy.Config and is applied; only then are the responses acknowledged, so that
// an ACK says "in force". A response that cannot be translated is refused as a whole (NACK, with the names of resource and
// field), and the kind stays as it was; what is wanted of it is kept and is part of the next attempt. When the stream is lost
// the configuration stays, and the next stream begins with the versions of what is in force.
//
// Resources are translated one by one by pure functions (translate*.go). Each names the fields that it obeys and those that
// do no harm, which are counted; any other field that is set refuses the resource. docs/xds.md has the list in words, and
// testdata/istiod what a real istiod sends, on which all of it is tested. What did not change is not translated again and
// stays the same pointer, by which package proxy knows it.
package xdsclient
