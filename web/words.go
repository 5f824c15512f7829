package web

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Clause says in words why a connection comes out as it does.
func Clause(c resolve.Cause, w resolve.Wire, sends mesh.ClientMode) string {
	switch c {
	case resolve.CauseMatch:
		return matchClause(w, sends)
	case resolve.CauseAuto:
		return autoClause(w)
	case resolve.CausePlaintextStrict:
		return "the client sends plaintext, and the server takes nothing but mTLS"
	case resolve.CauseMTLSDisabled:
		return "the client starts mTLS, and the server's policy turns it off"
	case resolve.CauseMTLSNoSidecar:
		return "the client starts mTLS, and the endpoint has no sidecar to answer it"
	case resolve.CauseMTLSNotCaptured:
		return "the client starts mTLS, and this port goes past the server's sidecar"
	case resolve.CauseOneWayTLS:
		return "the client shows no certificate, and the server wants one"
	case resolve.CauseForeignTLS:
		return "the client's TLS is not the mesh's, and the server's HTTP port takes no other"
	case resolve.CauseOpaqueTLS:
		return "the client's TLS goes through to the application, which must speak it"
	case resolve.CauseForeignCert:
		return "the client shows a certificate of its own, and nothing says that the mesh signed it"
	case resolve.CauseOutsideStrict:
		return "a caller without a sidecar cannot speak mTLS, and the server takes nothing else"
	}
	return placeClause(c)
}

func matchClause(w resolve.Wire, sends mesh.ClientMode) string {
	switch {
	case w == resolve.WireMTLS:
		return "the client starts mTLS, and the server takes it"
	case w == resolve.WirePlaintext && sends == mesh.ClientDisable:
		return "the client is told to send plaintext, and the server takes it"
	case w == resolve.WirePlaintext:
		return "the client sends plaintext, and the server takes it"
	}
	return "client and server agree"
}

func autoClause(w resolve.Wire) string {
	switch w {
	case resolve.WireMTLS:
		return "auto mTLS starts mTLS, and the server takes it"
	case resolve.WirePlaintext:
		return "auto mTLS stays with plaintext, and the server takes it"
	case resolve.WireMixed:
		return "auto mTLS starts mTLS where the endpoint is labelled for it, and sends plaintext elsewhere"
	}
	return "auto mTLS decides"
}

// placeClause has the causes that lie in what is called and from where, not in a disagreement.
func placeClause(c resolve.Cause) string {
	switch c {
	case resolve.CauseHidden:
		return "the client's sidecar does not know the service, so plaintext passes through"
	case resolve.CauseBlocked:
		return "the client's sidecar refuses what is not declared (REGISTRY_ONLY)"
	case resolve.CauseUDP:
		return "no sidecar captures UDP"
	case resolve.CauseAmbient:
		return "one side is ambient, which is not judged as a sidecar"
	case resolve.CauseNoEndpoints:
		return "no endpoint is known, so one with a sidecar is assumed"
	case resolve.CauseNoPort:
		return "the service has no such port"
	case resolve.CauseNoSubset:
		return "the rule in force has no such subset"
	case resolve.CauseHeadlessFallback:
		return "the client decides once for all endpoints, and not every one is labelled for mTLS, so it sends plaintext"
	case resolve.CauseHint:
		return "the server's namespace or mesh is DISABLE, so auto mTLS does not start"
	case resolve.CauseExternal:
		return "the service is outside the mesh, where auto mTLS does not apply"
	case resolve.CauseCredentialIgnored:
		return "the rule names a credential that sidecars ignore, so plaintext is sent"
	case resolve.CauseServerIdentity:
		return "the client's rule names other identities than the server has"
	case resolve.CauseFarEnd:
		return "the client starts mTLS with a host outside the mesh, of which nothing is known"
	case resolve.CauseOwnTLS:
		return "no TLS of the mesh's; the port is declared to carry the application's own"
	case resolve.CauseUnregistered:
		return "the mesh does not know the host"
	case resolve.CauseProxyPort:
		return "the port is the sidecar's own"
	case resolve.CauseServerTLS:
		return "the server's Sidecar ends TLS of its own on this port"
	}
	return strings.ReplaceAll(c.String(), "-", " ")
}
