// Package casefile reads and runs resolver cases: text files that hold a mesh as YAML, questions about it, and the answers
// that are expected. The tests of package resolve are such files, and `oarlock test DIR` runs those of users.
//
//	oarlock cases 1
//
//	case strict-namespace plaintext meets STRICT
//	dialect current
//	use base/shop.yaml
//	mesh
//	  apiVersion: security.istio.io/v1
//	  kind: PeerAuthentication
//	  metadata: {name: default, namespace: shop}
//	  spec: {mtls: {mode: STRICT}}
//	eval outside -> api.shop:80
//	  status CONFLICT
//	  server STRICT
//	  policy PeerAuthentication shop/default
//	  cause outside-strict
//	  reason policy wins PeerAuthentication shop/default namespace
//
// [Parse] reads a file, [Run] runs its cases, [Format] writes what went wrong. [Find] and [RunFile] do the same for a
// directory on disk. The format is line by line:
//
//   - The first line is the version line. A line that begins with '#' is a comment, an empty line is nothing.
//   - `dialect`, `lenient`, `use` and `mesh` describe a mesh. Before the first `case` they hold for every case of the file;
//     in a case they hold for it alone. Several dialects on one line run the case once in each.
//   - Lines below `mesh` that are indented by two spaces are YAML, with `---` between documents. Positions in problems and
//     reasons are those of the case file.
//   - A statement is a line of its own; the indented lines below it are what is expected, one key each. Only keys that
//     are written are compared.
//
// The statements:
//
//	eval CLIENT -> HOST[|SUBSET]:PORT [at WORKLOAD]     the verdict and its reasons
//	compat CLIENT -> HOST[|SUBSET]:PORT                 the row that istioctl authn tls-check printed
//	mode WORKLOAD:PORT                                  the server mode of a workload port
//	inbound WORKLOAD:PORT plaintext|tls|mtls [http] [alpn=A,B]
//	                                                    what the sidecar of that workload does with a connection
//	visible CLIENT SERVICE yes|no                       whether the client's sidecar knows the service
//	problem "PART OF A MESSAGE" [error|warning]         what the reader of the manifests has to say
//
// A CLIENT or WORKLOAD is POD[.NS], deploy/NAME[.NS] (sts/, ds/, job/, workloadentry/, ...) or an address; a client may also
// be `outside`, a caller without a sidecar. Words are those of package resolve's String methods, the same in every
// dialect, except below compat, whose row is what was printed.
//
// What can go wrong unseen is refused: a case that expects nothing, an unknown key or word (with a hint), an error in the
// mesh that no `problem` line names, and a target that is in no registry unless an `outbound` line says that this is meant.
// Every eval also checks that Resolve and Explain agree. All errors and failures begin with file:line.
//
// docs/cases.md is the reference for users.
package casefile
