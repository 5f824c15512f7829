package resolve

// Cause is why something won, lost, or came out as it did: the stable, machine-readable half of a Reason.
// Its String is the word that resolver cases and JSON output use.
type Cause uint8

// The causes. Names are stable; new ones are added at the end of their group.
const (
	CauseNone Cause = iota

	// Why a connection comes out as it does (Verdict.Cause, Endpoint.Cause).

	CauseMatch            // client and server agree
	CauseAuto             // auto mTLS chose what the server takes
	CausePlaintextStrict  // plaintext to a server that takes mTLS alone
	CauseMTLSDisabled     // mTLS to a server whose policy is DISABLE
	CauseMTLSNoSidecar    // mTLS to an endpoint without a sidecar
	CauseMTLSNotCaptured  // mTLS to a port that the endpoint's sidecar does not capture
	CauseOneWayTLS        // SIMPLE: no client certificate
	CauseForeignTLS       // SIMPLE or MUTUAL without Istio's ALPN: no filter chain takes it
	CauseOpaqueTLS        // TLS that reaches the application as bytes: it works if the application speaks TLS
	CauseForeignCert      // MUTUAL with a certificate that is not known to be the mesh's
	CauseOutsideStrict    // a caller without a sidecar meets STRICT
	CauseHidden           // the client cannot see the service; its plaintext passes through
	CauseBlocked          // REGISTRY_ONLY: the client's sidecar refuses
	CauseUDP              // UDP is never captured
	CauseAmbient          // ambient on either side
	CauseNoEndpoints      // no endpoint is known; judged as a meshed one
	CauseNoPort           // the service has no such port
	CauseNoSubset         // the rule in force has no such subset
	CauseHeadlessFallback // PASSTHROUGH service with an endpoint that is not labelled: the client falls back to plaintext for all
	CauseHint             // the namespace or mesh policy is DISABLE, so auto mTLS does not start (semantics M10)
	CauseExternal         // mesh-external: auto mTLS does not apply

	CauseCredentialIgnored // a credentialName that sidecars ignore: plaintext is sent (semantics M35)

	CauseServerTLS // a Sidecar's ingress listener has TLS of its own (semantics M42)

	CauseServerIdentity // the rule's subjectAltNames do not name the server (semantics M37)
	CauseFarEnd         // mTLS leaves the mesh: nothing is known of the far end
	CauseOwnTLS         // no TLS of the mesh's; the port is declared to carry the application's own
	CauseUnregistered   // the host is in no registry of the mesh
	CauseProxyPort      // a port of the sidecar itself
	CauseRoutes         // a VirtualService routes the service's traffic to subsets
	CauseSharedPort     // another service leads to the same workload port

	// Why a policy won or lost.

	CausePort         // a target or portLevelMtls entry for this port
	CauseService      // a target for this service
	CauseWorkload     // a selector that matches the workload
	CauseNamespace    // the namespace's policy
	CauseMesh         // the mesh's policy
	CauseDefault      // nothing is configured: the dialect's default
	CauseYounger      // same scope, but another is older
	CauseNameOrder    // same scope and age, but another name comes first
	CauseUnspecified  // same scope; 1.1 to 1.3 do not say which wins
	CauseWider        // a narrower scope decides
	CauseUnset        // sets no mode, so the wider scope's is inherited
	CauseOtherTarget  // targets another service
	CauseOtherPort    // targets another port of this service
	CauseSelector     // selector does not match the workload
	CauseRootSelector // a selector in the root namespace has no effect (semantics M8)
	CauseNotDefault   // a mesh policy that is not called default (semantics L1, L2)
	CauseLabelTarget  // a target by label (semantics L5)
	CauseOtherDialect // a kind that has no effect in this dialect

	// Why a rule won or lost.

	CauseClientNamespace // found in the client's namespace
	CauseServiceNamespace
	CauseRootNamespace
	CauseOtherNamespace // neither the client's, nor the service's, nor the root namespace
	CauseFarther        // a nearer namespace has a matching rule
	CauseLessSpecific   // a more specific host in the same namespace
	CauseOtherHost      // does not match the host
	CauseNotExported    // not exported to the client's namespace
	CauseHiddenSpecific // matches, but a more specific rule that is not exported hides it (semantics M16)
	CauseMerged         // same host: merged into the winner
	CauseMergedTLS      // same host: merged, and its trafficPolicy is the one in force
	CauseReplaced       // same host, unmerged: a newer one wins (semantics M21)
	CauseClientSelector // workloadSelector does not match the client
	CauseSelectedNearer // a rule with a matching workloadSelector comes first
	CauseNotInScope     // a Sidecar hides the service from this client

	// Which tls block.

	CauseTopLevel
	CausePortLevel     // a portLevelSettings entry for this port
	CausePortLevelBare // such an entry without tls: the top level does not apply
	CauseSubset
	CauseSubsetPort
	CauseSubsetBare
	CauseInherited  // the subset says nothing; the top level's applies
	CauseNoTLS      // the rule has no tls block
	CausePortByName // a port selected by name, ignored in this dialect

	causeCount
)
