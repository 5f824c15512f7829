package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/oarlock/oarlock/metrics"
)

// A tlsFailure says why a handshake did not come about: the cause that is counted, and the words that the access log has
// for it, which are Envoy's, so that whoever knows those knows ours.
type tlsFailure struct {
	cause string
	text  string
	peer  string // who the other side said that it is, where it said so
}

// Envoy writes the error code of its TLS library, which is its number for "library SSL" plus the reason; an alert of the
// peer has 1000 and the alert's number for a reason.
const (
	sslLibrary = 0x10000000
	sslAlert   = sslLibrary + 1000
)

func tlsError(code int, reason string) string {
	return fmt.Sprintf("TLS_error:|%d:SSL routines:OPENSSL_internal:%s:TLS_error_end", code, reason)
}

// tlsHTTPRequest is what Envoy says where plaintext came in place of a ClientHello.
const tlsHTTPRequest = "TLS_error:|268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end"

// Reasons that are not alerts.
const (
	codeVerifyFailed  = 268435581
	codeWrongVersion  = 268435703
	codeNoCertificate = 268435648
	codeUnsupported   = 268435696
	codeNoCipher      = 268435640
)

// An alert is one that the other side sent.
type alert struct {
	code   int
	reason string // Envoy's
	cause  string
}

// alerts are those that crypto/tls names, by its words.
func alerts(text string) (alert, bool) {
	switch text {
	case "tls: bad certificate":
		return alert{42, "SSLV3_ALERT_BAD_CERTIFICATE", metrics.CauseRefusedByPeer}, true
	case "tls: unsupported certificate":
		return alert{43, "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", metrics.CauseRefusedByPeer}, true
	case "tls: revoked certificate":
		return alert{44, "SSLV3_ALERT_CERTIFICATE_REVOKED", metrics.CauseRefusedByPeer}, true
	case "tls: expired certificate":
		return alert{45, "SSLV3_ALERT_CERTIFICATE_EXPIRED", metrics.CauseExpired}, true
	case "tls: unknown certificate":
		return alert{46, "SSLV3_ALERT_CERTIFICATE_UNKNOWN", metrics.CauseRefusedByPeer}, true
	case "tls: unknown certificate authority":
		return alert{48, "TLSV1_ALERT_UNKNOWN_CA", metrics.CauseUnknownCA}, true
	case "tls: access denied":
		return alert{49, "TLSV1_ALERT_ACCESS_DENIED", metrics.CauseRefusedByPeer}, true
	case "tls: protocol version not supported":
		return alert{70, "TLSV1_ALERT_PROTOCOL_VERSION", metrics.CauseVersion}, true
	case "tls: handshake failure":
		return alert{40, "SSLV3_ALERT_HANDSHAKE_FAILURE", metrics.CauseRefusedByPeer}, true
	case "tls: insufficient security level":
		return alert{71, "TLSV1_ALERT_INSUFFICIENT_SECURITY", metrics.CauseCipher}, true
	case "tls: certificate required":
		return alert{116, "TLSV1_ALERT_CERTIFICATE_REQUIRED", metrics.CauseNoClientCertificate}, true
	case "tls: no application protocol":
		return alert{120, "TLSV1_ALERT_NO_APPLICATION_PROTOCOL", metrics.CauseALPN}, true
	case "tls: unrecognized name":
		return alert{112, "TLSV1_ALERT_UNRECOGNIZED_NAME", metrics.CauseRefusedByPeer}, true
	case "tls: internal error":
		return alert{80, "TLSV1_ALERT_INTERNAL_ERROR", metrics.CauseRefusedByPeer}, true
	}
	return alert{}, false
}

// remoteAlert says whether an error is an alert of the other side. With TLS 1.3 a server's verdict on the client's
// certificate comes after the client's handshake, with the first read.
func remoteAlert(err error) (tlsFailure, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return tlsFailure{}, false
	}
	text := op.Err.Error()
	if a, ok := alerts(text); ok {
		return tlsFailure{cause: a.cause, text: tlsError(sslAlert+a.code, a.reason)}, true
	}
	return tlsFailure{cause: metrics.CauseRefusedByPeer, text: tlsError(sslAlert, strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(text, "tls: "), " ", "_")))}, true
}

// lost names the ways in which a connection ends in a handshake.
func lost(err error) (string, bool) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return metrics.CauseTimeout, true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return metrics.CauseReset, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return metrics.CauseClosed, true
	}
	return "", false
}

// A labelled error is one of Identity, or of ours, about a peer.
type labelled interface {
	error
	Label() string
}

// refused names the cause where our side does not believe the other. mismatch is what a name that is not accepted counts
// as: a client knows which names it wants, a server which trust domain.
func refused(err error, mismatch string) (tlsFailure, bool) {
	var l labelled
	if !errors.As(err, &l) {
		return tlsFailure{}, false
	}
	verify := func(cause, detail string) (tlsFailure, bool) {
		return tlsFailure{cause: cause, text: tlsError(codeVerifyFailed, "CERTIFICATE_VERIFY_FAILED:verify cert failed: "+detail)}, true
	}
	chain := "X509_verify_cert: certificate verification error at depth 0: "
	switch l.Label() {
	case "no_certificate":
		return tlsFailure{cause: metrics.CauseNoClientCertificate, text: tlsError(codeNoCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE")}, true
	case "expired":
		return verify(metrics.CauseExpired, chain+"certificate has expired")
	case "not_yet_valid":
		return verify(metrics.CauseNotYetValid, chain+"certificate is not yet valid")
	case "unknown_authority":
		return verify(metrics.CauseUnknownCA, chain+"unable to get local issuer certificate")
	case "other_trust_domain":
		return verify(metrics.CauseWrongTrustDomain, "no trust bundle for its trust domain")
	case "not_authorized":
		return verify(mismatch, "SAN matcher")
	case "no_identity":
		return tlsFailure{cause: metrics.CauseNoIdentity, text: "TLS error: Secret is not supplied by SDS"}, true
	}
	return verify(metrics.CauseBadCertificate, chain+"certificate is not usable")
}

// downstreamFailure names why a client's handshake failed. allowed are the names of which it should have had one.
func downstreamFailure(err error, allowed []NameMatch) tlsFailure {
	var named interface{ PeerID() string }
	id := ""
	if errors.As(err, &named) {
		id = named.PeerID()
	}
	mismatch := metrics.CauseWrongTrustDomain
	if domain := trustDomain(id); slices.ContainsFunc(allowed, func(n NameMatch) bool { return trustDomain(n.Value) == domain }) {
		mismatch = metrics.CauseSANMismatch
	}
	if f, ok := refused(err, mismatch); ok {
		f.peer = id
		return f
	}
	if f, ok := remoteAlert(err); ok {
		return f
	}
	var header tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &header) && first(header):
		return tlsFailure{cause: metrics.CausePlaintextToTLS, text: tlsHTTPRequest}
	case strings.Contains(text, "didn't provide a certificate"):
		return tlsFailure{cause: metrics.CauseNoClientCertificate, text: tlsError(codeNoCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE")}
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "protocol version"):
		return tlsFailure{cause: metrics.CauseVersion, text: tlsError(codeUnsupported, "UNSUPPORTED_PROTOCOL")}
	case strings.Contains(text, "no cipher suite"):
		return tlsFailure{cause: metrics.CauseCipher, text: tlsError(codeNoCipher, "NO_SHARED_CIPHER")}
	case strings.Contains(text, "application protocol"):
		return tlsFailure{cause: metrics.CauseALPN, text: tlsError(sslAlert+120, "NO_APPLICATION_PROTOCOL")}
	}
	if cause, ok := lost(err); ok {
		return tlsFailure{cause: cause}
	}
	return tlsFailure{cause: metrics.CauseOther, text: "TLS error: " + text}
}

// first says whether a record was bad while the version was not agreed on. Later the other side has spoken TLS already.
func first(e tls.RecordHeaderError) bool { return !strings.Contains(e.Msg, "when expecting version") }

// trustDomain gives the trust domain of a SPIFFE ID, or of the beginning of one.
func trustDomain(id string) string {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	if !ok {
		return ""
	}
	domain, _, _ := strings.Cut(rest, "/")
	return domain
}

// upstreamFailure names why our handshake with a server failed.
func upstreamFailure(err error) tlsFailure {
	if f, ok := refused(err, metrics.CauseSANMismatch); ok {
		return f
	}
	if f, ok := remoteAlert(err); ok {
		return f
	}
	var header tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &header) && first(header):
		return tlsFailure{cause: metrics.CauseTLSToPlaintext, text: tlsError(codeWrongVersion, "WRONG_VERSION_NUMBER")}
	case strings.Contains(text, "unsupported protocol version"), strings.Contains(text, "selected unsupported"):
		return tlsFailure{cause: metrics.CauseVersion, text: tlsError(codeUnsupported, "UNSUPPORTED_PROTOCOL")}
	case strings.Contains(text, "cipher suite"):
		return tlsFailure{cause: metrics.CauseCipher, text: tlsError(codeNoCipher, "NO_SHARED_CIPHER")}
	}
	if cause, ok := lost(err); ok {
		return tlsFailure{cause: cause}
	}
	return tlsFailure{cause: metrics.CauseOther, text: "TLS error: " + text}
}

// A failure is a handshake to count.
type failure struct {
	reporter metrics.Reporter
	source   Peer
	dest     Peer
	service  ServiceName
	cause    string
	policy   string
	original netip.AddrPort
}

func (p *Proxy) countFailure(f failure) {
	p.opt.Series.Failure(metrics.Failure{
		Reporter: f.reporter, Source: f.source, Destination: f.dest, Service: f.service,
		Port: f.original.Port(), Cause: f.cause, Policy: f.policy,
	})
}

// reporterOf is the side that counts for a direction.
func reporterOf(d Direction) metrics.Reporter {
	if d == Inbound {
		return metrics.Destination
	}
	return metrics.Source
}
