// Package control wires one control plane and owns its lifetime: the manifests are read and read again, what comes of them
// goes to the engine that runs the workloads and to their sidecars, and whoever asks over the JSON API hears how far it is.
//
//	plane, err := control.New(ctx, control.Options{Name: "keen-otter", Source: dir, Look: dir.Watch(ctx, ...), Engine: engine, ...})
//	err = plane.Run(ctx)
//
// The journey of one change: Look says "look again"; Source is read; a reading with errors that were not there before, or
// with nothing in it, leaves everything as it was and is told as held (reading.go). What is taken is merged with what runs
// (mesh.WithRunning), resolved, and given to package xds (publish.go); one number, the Version of that snapshot, goes with
// it until the last sidecar has acknowledged it (nodes.go). The engine gets the snapshot of the manifests, a bound token for
// each pod and the trust bundle, from a goroutine of its own, so that a slow engine never delays a policy (apply.go).
//
// One gRPC server, with TLS of the authority's, has the certificate service and ADS (serve.go). The JSON API is a unix socket
// of mode 0600; its types are in package api (answer.go).
//
// A control plane that crashes leaves the traffic running. A new one finds authority and signing key in its state folder,
// and there too the manifests that were last taken: if those of today cannot be read whole, it goes on from them.
package control
