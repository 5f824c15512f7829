// Package difftest compares package resolve with Istio's own code, on random meshes.
//
// It is a module of its own, so that nobody who builds oarlock has to build Istio. A mesh is a list of Kubernetes and
// Istio objects ([Doc]), made by [Generate] from a seed. Both sides read the same objects: oarlock by manifest.Load from
// the YAML that they render to, Istio by its own parser and its in-memory test servers. Both are then asked the same
// questions, and each gives [Answers], a map from question to answer in the same words, so that comparing is comparing
// two maps. A mesh on which they differ is shrunk ([Shrink]) before it is shown.
//
// The questions: for every sidecar and every host, port and subset, is there a cluster and in which namespace is its
// service; for every endpoint of it, what does the client start (mTLS, its own TLS, plaintext), with which SNI, ALPN and
// names expected; and for every workload and port, in which mode does its sidecar listen. A test of its own asks what a
// listener does with a connection.
//
//	make test-istio                                      # 5,000 meshes
//	cd difftest && go test -short .                      # 200
//	cd difftest && go test . -args -seed=7 -mesh=42      # one mesh again, shrunk
//
// Left out, because the two sides mean different things by it (docs/decisions.md): UDP ports, ExternalName Services, the
// clusters that Istio does not make for want of a DNS endpoint, auto mTLS towards a service of which no endpoint is known,
// two services with one host in one namespace, gateways and ambient.
// An answer that Istio itself leaves to chance counts as equal where one of its answers is oarlock's.
package difftest
