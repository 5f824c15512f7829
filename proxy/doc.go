// Package proxy is the data plane: listeners, filter chains, TLS on both sides, HTTP/1.1 and TCP.
//
//	p := proxy.New(proxy.Options{Identity: source, Series: series, Log: log})
//	err := p.Apply(config) // whole: what does not change goes on, what does is drained
//	defer p.Close()
//
// A connection finds its original destination (package capture's door, or the kernel), by it a listener, by a look at its
// first bytes (package sniff) a filter chain, and there TLS is ended or not and either bytes are carried (tcp.go) or requests
// (http1*.go), to an endpoint of a cluster (cluster.go) over a socket of the cluster's or the endpoint's kind (upstream.go).
// Everything that happens is counted (package metrics) and logged (package accesslog); why a handshake failed is named on
// both sides (failure.go).
//
// A Config is a subset of Envoy's; where the two have the same words they mean the same.
package proxy
