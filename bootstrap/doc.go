// Package bootstrap is the file that a sidecar starts from: who it is, where its identity and its configuration come from,
// how connections reach it, and where it answers questions.
//
//	f, err := bootstrap.Read("bootstrap.json")
//
// It is JSON, and what the file says at the start holds until the end: everything that changes while a sidecar runs comes
// over xDS. With staticResources in place of xds a sidecar runs without a control plane.
package bootstrap
