// Package api has the types of the JSON API of a running control plane, so that whoever asks and whoever answers import
// the same ones, and a client for it. docs/api.md describes the paths, and docs/openapi.json each field.
//
//	status, err := api.NewClient(socket).Status(ctx)
//
// A field may be added under the same version; one that changes its meaning or goes away needs another.
package api
