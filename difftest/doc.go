// Package difftest compares package resolve with Istio's own code, on random meshes.
//
// It is a module of its own, so that nobody who builds oarlock has to build Istio. A mesh is a list of Kubernetes and
// Istio objects ([Doc]), made by [Generate] from a seed. Both sides read the same objects: oarlock by manifest.Load from
// the YAML that they render to, Istio by its own parser and its in-memory test servers. Both are then asked the same
// questions, and each gives [Answers], a map from question to answer in the same words, so that comparing is comparing
// two maps. A mesh on which they differ is shrunk ([Shrink]) before it is shown.
//
// The questions: for every sidecar and every host, port and subset, is there a cluster and in which namespace is its
// service; for every endpoint of it, what does the client start (mTLS, its own TLS, plaintext), with which SNI and which
// names expected; and for every workload and port, in which mode does its sidecar listen.
//
//	go test ./difftest                      # 5,000 meshes
//	go test ./difftest -args -seed=7 -mesh=42   # one mesh again, shrunk
package difftest
