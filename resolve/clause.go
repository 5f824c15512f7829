package resolve

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// Clause says in words why a connection comes out as it does, with a wire and what its client sends: lower case, without a full
// stop, to stand in a sentence. Causes of policies and rules have none: it gives their name in words.
func (c Cause) Clause(w Wire, sends mesh.ClientMode) string {
	if text, ok := clauses[c]; ok {
		return text
	}
	switch {
	case c >= CausePort:
		return strings.ReplaceAll(c.String(), "-", " ")
	case w == WireMixed:
		return "auto mTLS starts mTLS where the endpoint is labelled for it, and plaintext goes elsewhere"
	case c == CauseAuto && w == WireMTLS:
		return "auto mTLS starts mTLS, and the server takes it"
	case c == CauseAuto && w == WirePlaintext:
		return "auto mTLS stays with plaintext, and the server takes it"
	case c == CauseAuto:
		return "auto mTLS decides"
	case w == WireMTLS:
		return "the client starts mTLS, and the server takes it"
	case w == WirePlaintext && sends == mesh.ClientDisable:
		return "the client is told to send plaintext, and the server takes it"
	case w == WirePlaintext:
		return "the client sends plaintext, and the server takes it"
	}
	return "client and server agree"
}

// clauses are those that are the same on every wire.
var clauses = map[Cause]string{
	CausePlaintextStrict:   "the client sends plaintext, and the server takes nothing but mTLS",
	CauseMTLSDisabled:      "the client starts mTLS, and the server's policy turns it off",
	CauseMTLSNoSidecar:     "the client starts mTLS, and the endpoint has no sidecar to answer it",
	CauseMTLSNotCaptured:   "the client starts mTLS, and the port goes past the server's sidecar",
	CauseOneWayTLS:         "the client shows no certificate, and the server wants one",
	CauseForeignTLS:        "the client's TLS is not the mesh's, and the server's HTTP port takes no other",
	CauseOpaqueTLS:         "the client's TLS goes through to the application, which must speak it",
	CauseForeignCert:       "the client shows a certificate of its own, and nothing says that the mesh signed it",
	CauseOutsideStrict:     "the caller has no sidecar, and the server takes nothing but mTLS",
	CauseHidden:            "the client's sidecar does not know the service, so plaintext passes through",
	CauseBlocked:           "the client's sidecar refuses what is not declared (REGISTRY_ONLY)",
	CauseUDP:               "no sidecar captures UDP",
	CauseAmbient:           "one side is ambient, which is not judged as a sidecar",
	CauseNoEndpoints:       "no endpoint is known, so one with a sidecar is assumed",
	CauseNoPort:            "the service has no such port",
	CauseNoSubset:          "the rule in force has no such subset",
	CauseHeadlessFallback:  "the client decides once for all endpoints, and not every one is labelled for mTLS, so it sends plaintext",
	CauseHint:              "the server's namespace or mesh is DISABLE, so auto mTLS does not start",
	CauseExternal:          "the service is outside the mesh, where auto mTLS does not apply",
	CauseCredentialIgnored: "the rule names a credential that sidecars ignore, so plaintext is sent",
	CauseServerTLS:         "the server's Sidecar ends TLS of its own on the port",
	CauseServerIdentity:    "the client's rule names other identities than the server has",
	CauseFarEnd:            "the client starts mTLS with a host outside the mesh, of which nothing is known",
	CauseOwnTLS:            "the port is declared to carry the application's own TLS, and the mesh adds none",
	CauseUnregistered:      "the mesh does not know the host",
	CauseProxyPort:         "the port is the sidecar's own",
	CauseRoutes:            "a VirtualService leads to subsets of the service",
	CauseSharedPort:        "another service leads to the same port of the workload",
}
