// Package api has the types of the JSON API of a running control plane, so that whoever asks and whoever answers import
// the same ones, and a client for it. docs/api.md describes the paths.
//
//	GET  /v1/status      Status       how the mesh is
//	GET  /v1/manifests   Manifests    what the snapshot in force was read from
//	POST /v1/reload      Reload       look at the manifests now
//	GET  /v1/sync        Sync         wait until a snapshot is in force on every sidecar
//	GET  /v1/ca          CA           the authorities of the trust domain
//	POST /v1/ca/rotate   CA           take a step of a rotation
//
//	status, err := api.NewClient(socket).Status(ctx)
//
// A field may be added under the same version; one that changes its meaning or goes away needs another.
package api
