// Package resolve says what TLS a connection gets, and why.
//
// It asks one question: given a client and a service port of a [mesh.Snapshot], in which mode does the server listen and
// which policy decided that, what does the client start and which rule decided that, and what comes of the two on the
// wire?
//
//	r := resolve.New(snapshot)
//	v := r.Resolve(resolve.Client{Workload: web}, resolve.Target{Service: api, Port: 8080})
//	if v.Status == resolve.StatusConflict {
//		for _, why := range r.Explain(client, target).Reasons { ... }
//	}
//
// [Resolver.Resolve] returns a small [Verdict] and does not allocate; [Resolver.Explain] goes the same way again and
// writes down every policy and rule that it considered, which won, and why each other lost. A property test holds the two
// equal. [Resolver.Classes] groups clients that cannot be told apart, so that all verdicts of a large mesh cost one
// resolution per class and service port.
//
// Both dialects are here, each with its own files: legacy (Istio 1.1 to 1.4) and current. [Resolver.Compat] prints what
// istioctl authn tls-check printed, also where that was wrong.
//
// The package is pure: no I/O, no clock, no goroutines, no state beyond the index that New builds. Objects that it does
// not read (AuthorizationPolicy, RequestAuthentication) have no say here.
package resolve
