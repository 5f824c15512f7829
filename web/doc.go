// Package web is the JSON API of a mesh over HTTP, its event stream, and the dashboard.
//
// Two servers share its code. [API] answers for one mesh on the unix socket of its control plane: whoever may open the
// socket may ask. [Dashboard] listens on an address for browsers: it wants a token, keeps strangers out, serves the
// embedded pages and passes what is under /api/v1/meshes/NAME/ on to the socket of the mesh of that name.
//
// routes.go is the list of everything that can be asked; docs/openapi.json is made from it.
package web
