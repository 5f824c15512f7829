// Package sidecar makes one running sidecar of its parts: an identity (package svid), a configuration from a control plane
// (package xdsclient) or from the bootstrap file, the data plane (package proxy), and an admin socket.
//
//	err := sidecar.RunFile(ctx, "bootstrap.json", sidecar.Options{}) // until ctx ends, then what is under way is finished
//
// It starts in this order: the admin socket, so that it can be asked why it is not ready; the first SVID; the first whole
// configuration; then it is ready. When ctx ends it is no longer ready, stops accepting, waits for what is under way and
// closes everything in the opposite order.
//
// The workload's key stays in the process. Whoever may open the admin socket (its owner: mode 0600) can have it exported,
// and each time is recorded; a probe as this workload runs in here instead (admin.go, ask.go).
package sidecar
