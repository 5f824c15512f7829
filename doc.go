// Package oarlock is the map of this module; it has no code.
//
// Oarlock says what TLS a connection between two services of a mesh will get, why, and what to write so that it gets
// another one; and it runs such a mesh on one machine. The command is cmd/oarlock. Every other folder is one package, and
// each is either a station on the journey of a policy or the outside thing that it talks to:
//
//	mesh       the nouns: workload, service, policy, rule, and the immutable Snapshot of all of them
//	manifest   Kubernetes and Istio YAML to those nouns, with positions; and changes back to edits of the text
//	yamldir    reads, watches and writes a directory of manifests
//	resolve    pure: what TLS will this connection get, and why
//	change     an intent ("this namespace takes mTLS only") to the fewest changes of objects
//	plan       what a change would break, open, mend and lock
//	graph      the three witnesses on each edge, declared, observed and proven; its lock, and where to draw it
//	casefile   a mesh and the verdicts expected of it, as one text file; `oarlock test` runs them
//	probe      out-of-band handshakes: what a server really takes, whose certificate it shows
//
// Where a mesh runs, a control plane publishes what follows from the policies:
//
//	ca         the authority of one trust domain: issue, bundle, rotate
//	xds        a snapshot to Envoy's resources; the ADS server that gives each sidecar what changed
//	control    wires one control plane and owns its lifetime
//	telemetry  what traffic did: a store that scrapes the sidecars, or any Prometheus
//	web        its JSON API, event stream and audit log, and the dashboard
//	api        the types of that API, and a client
//	local      runs pods as processes of this machine: capture, restarts, probes, logs
//
// And a sidecar beside every workload enforces it:
//
//	bootstrap  the file that a sidecar starts from
//	sidecar    one running sidecar of its parts
//	svid       keeps one workload's key and X.509-SVID fresh, and checks peers by it
//	xdsclient  Envoy's resources to the proxy's configuration; ACK and NACK
//	proxy      the data plane: listeners, filter chains, TLS, HTTP/1.1, TCP
//	sniff      names a protocol from its first bytes without consuming them
//	accesslog  the access log record, written and read in Istio's formats of each generation
//	metrics    names, labels and counting of every series, handshake failures by cause among them
//
// The rest is there so that these can be seen and tested: demoapp, the application that the examples run; examples, which
// has them in the binary; meshtest, fixtures and contract suites; and e2e, whole meshes judged from outside.
//
// # The journey of one policy
//
// Somebody saves strict.yaml. yamldir reads the directory, notes the hash of every file and hands the bytes to manifest.
// manifest splits them into documents and turns each into an object of package mesh that knows its file, line and
// column; a document that it cannot read becomes a Problem, and its neighbours still load. The objects together are one
// Snapshot, which nobody changes any more.
//
// resolve indexes the Snapshot. Asked about a client and a port of a service, it finds the DestinationRule in force for
// the client and the policy in force for each endpoint, puts the two together, and answers with a Verdict. Asked to
// explain, it goes the same way again and keeps every object that it looked at, in order, with the reason why it won or
// lost. The commands tls-check, explain, graph and edges print what it says.
//
// In a running mesh, control does the reading. xds turns the new Snapshot into resources, and pushes to each sidecar those
// that differ from what it has. There xdsclient translates them and proxy swaps its configuration whole; only then are
// they acknowledged. The next connection meets the new policy, and accesslog and metrics tell what became of it. telemetry
// reads that back, probe tries for itself, graph puts both beside the verdict, and web closes the lock, or opens it.
//
// Edits go the other way. `oarlock mtls require NAMESPACE` states an intent. change looks at the Snapshot and at what
// resolve says about it, and computes as few mesh.Changes as will do. manifest turns them into edits of the text that
// leave every other byte alone, parses the result again, and refuses unless it says what was asked. yamldir writes it,
// but only over files that still have the hash that was read. Then everything is read anew: the files are the only truth.
//
// # The rules between packages
//
// Which package may import which is a block of text in arch_test.go, and the test there holds the tree to it.
// ARCHITECTURE.md has the same as a picture.
package oarlock
