package resolve

// The words of this file are the same in every dialect: resolver cases and JSON output use them. What tls-check prints in
// the dialect's own words is in words.go.

// word gives the i-th of words, "" beyond the end.
func word(i uint8, words ...string) string {
	if int(i) < len(words) {
		return words[i]
	}
	return ""
}

// String gives OK, AUTO, CONFLICT, MAY CONFLICT, not captured or UNKNOWN, which are tls-check's words too (semantics L45 to L47).
func (s Status) String() string {
	return word(uint8(s), "OK", "AUTO", "CONFLICT", "MAY CONFLICT", "not captured", "UNKNOWN")
}

// String gives DISABLE, PERMISSIVE, STRICT or MIXED.
func (s Server) String() string {
	return word(uint8(s), "UNSET", "DISABLE", "PERMISSIVE", "STRICT", "MIXED")
}

// String gives off, mTLS, plaintext or mixed.
func (a Auto) String() string { return word(uint8(a), "off", "mTLS", "plaintext", "mixed") }

// String gives plaintext, mTLS, TLS, refused, mixed or unknown.
func (w Wire) String() string {
	return word(uint8(w), "plaintext", "mTLS", "TLS", "refused", "mixed", "unknown")
}

// String gives cluster, PassthroughCluster, BlackHoleCluster or direct.
func (o Outbound) String() string {
	return word(uint8(o), "cluster", "PassthroughCluster", "BlackHoleCluster", "direct")
}

// String gives none, oldest, name, newest, unspecified or last-name.
func (t TieBreak) String() string {
	return word(uint8(t), "none", "oldest", "name", "newest", "unspecified", "last-name")
}

// String gives auto, HTTP, TCP or UDP.
func (c ProtocolClass) String() string { return word(uint8(c), "auto", "HTTP", "TCP", "UDP") }

// String gives no-chain, http, tcp, http-mtls, tcp-mtls, opaque, no-cert, codec or black-hole.
func (o InboundOutcome) String() string {
	return word(uint8(o), "no-chain", "http", "tcp", "http-mtls", "tcp-mtls", "opaque", "no-cert", "codec", "black-hole")
}
