// Package e2e runs whole meshes on this machine and watches what their traffic does: the scenes of the examples, what
// every edge of them does against what package resolve says that it should, faults, and clients and servers that we did
// not write. It has tests alone.
//
// A test starts a mesh as a user would, with the built programs, and judges by what can be seen from outside: status codes,
// access logs, metrics, and the output of the commands.
package e2e
