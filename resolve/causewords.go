package resolve

// causeWords are the names of the constants in kebab case, without their prefix.
var causeWords = [causeCount]string{
	CauseNone: "none",

	CauseMatch:             "match",
	CauseAuto:              "auto",
	CausePlaintextStrict:   "plaintext-strict",
	CauseMTLSDisabled:      "mtls-disabled",
	CauseMTLSNoSidecar:     "mtls-no-sidecar",
	CauseMTLSNotCaptured:   "mtls-not-captured",
	CauseOneWayTLS:         "one-way-tls",
	CauseForeignTLS:        "foreign-tls",
	CauseOpaqueTLS:         "opaque-tls",
	CauseForeignCert:       "foreign-cert",
	CauseOutsideStrict:     "outside-strict",
	CauseHidden:            "hidden",
	CauseBlocked:           "blocked",
	CauseUDP:               "udp",
	CauseAmbient:           "ambient",
	CauseNoEndpoints:       "no-endpoints",
	CauseNoPort:            "no-port",
	CauseNoSubset:          "no-subset",
	CauseHeadlessFallback:  "headless-fallback",
	CauseHint:              "hint",
	CauseExternal:          "external",
	CauseCredentialIgnored: "credential-ignored",
	CauseServerTLS:         "server-tls",

	CausePort:         "port",
	CauseService:      "service",
	CauseWorkload:     "workload",
	CauseNamespace:    "namespace",
	CauseMesh:         "mesh",
	CauseDefault:      "default",
	CauseYounger:      "younger",
	CauseNameOrder:    "name-order",
	CauseUnspecified:  "unspecified",
	CauseWider:        "wider",
	CauseUnset:        "unset",
	CauseOtherTarget:  "other-target",
	CauseOtherPort:    "other-port",
	CauseSelector:     "selector",
	CauseRootSelector: "root-selector",
	CauseNotDefault:   "not-default",
	CauseLabelTarget:  "label-target",
	CauseOtherDialect: "other-dialect",

	CauseClientNamespace:  "client-namespace",
	CauseServiceNamespace: "service-namespace",
	CauseRootNamespace:    "root-namespace",
	CauseOtherNamespace:   "other-namespace",
	CauseFarther:          "farther",
	CauseLessSpecific:     "less-specific",
	CauseOtherHost:        "other-host",
	CauseNotExported:      "not-exported",
	CauseHiddenSpecific:   "hidden-specific",
	CauseMerged:           "merged",
	CauseMergedTLS:        "merged-tls",
	CauseReplaced:         "replaced",
	CauseClientSelector:   "client-selector",
	CauseSelectedNearer:   "selected-nearer",
	CauseNotInScope:       "not-in-scope",

	CauseTopLevel:      "top-level",
	CausePortLevel:     "port-level",
	CausePortLevelBare: "port-level-bare",
	CauseSubset:        "subset",
	CauseSubsetPort:    "subset-port",
	CauseSubsetBare:    "subset-bare",
	CauseInherited:     "inherited",
	CauseNoTLS:         "no-tls",
	CausePortByName:    "port-by-name",
}

// String gives the cause's word, "plaintext-strict" for CausePlaintextStrict; "" for a value that is no cause.
func (c Cause) String() string {
	if c < causeCount {
		return causeWords[c]
	}
	return ""
}
