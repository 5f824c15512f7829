// Command oarlock shows, explains and changes mutual TLS between the services of a mesh.
//
//	oarlock -f DIR tls-check [CLIENT] [SERVICE[:PORT]]
//	oarlock -f DIR explain CLIENT SERVICE:PORT
//
// main hands everything that belongs to the process (arguments, streams) to run, which builds the command tree of root.go
// around one app value. Each verb has a file of its own; it opens the mesh through target.go, asks package resolve, and
// prints through table.go or output.go. Errors carry their exit status (fail.go); the rules for everything that is
// printed stand at the top of that file.
//
// This package wires the others together. Nothing may import it.
package main
