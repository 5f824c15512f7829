package accesslog

import (
	"math/bits"
	"strings"
)

// Flags are Envoy's response flags: what went wrong with a request, a set.
type Flags uint64

// The response flags, in the order in which they are written.
const (
	FailedLocalHealthCheck           Flags = 1 << iota // LH
	NoHealthyUpstream                                  // UH
	UpstreamRequestTimeout                             // UT
	LocalReset                                         // LR
	UpstreamRemoteReset                                // UR
	UpstreamConnectionFailure                          // UF: no connection, or its TLS handshake failed
	UpstreamConnectionTermination                      // UC: it was there and ended
	UpstreamOverflow                                   // UO: circuit breaker
	NoRouteFound                                       // NR: no route, or no filter chain
	DelayInjected                                      // DI
	FaultInjected                                      // FI
	RateLimited                                        // RL
	UnauthorizedExternalService                        // UAEX
	RateLimitServiceError                              // RLSE
	DownstreamConnectionTermination                    // DC
	UpstreamRetryLimitExceeded                         // URX
	StreamIdleTimeout                                  // SI
	InvalidRequestHeaders                              // IH
	DownstreamProtocolError                            // DPE
	UpstreamMaxStreamDurationReached                   // UMSDR
	ResponseFromCache                                  // RFCF
	NoFilterConfigFound                                // NFCF
	DurationTimeout                                    // DT
	UpstreamProtocolError                              // UPE
	NoClusterFound                                     // NC
	OverloadManager                                    // OM
	DNSResolutionFailed                                // DF
	DropOverload                                       // DO
	DownstreamRemoteReset                              // DR
	UnconditionalDropOverload                          // UDO
)

// flagNames has the short and the long name of each flag, by its bit.
var flagNames = [...][2]string{
	{"LH", "FailedLocalHealthCheck"},
	{"UH", "NoHealthyUpstream"},
	{"UT", "UpstreamRequestTimeout"},
	{"LR", "LocalReset"},
	{"UR", "UpstreamRemoteReset"},
	{"UF", "UpstreamConnectionFailure"},
	{"UC", "UpstreamConnectionTermination"},
	{"UO", "UpstreamOverflow"},
	{"NR", "NoRouteFound"},
	{"DI", "DelayInjected"},
	{"FI", "FaultInjected"},
	{"RL", "RateLimited"},
	{"UAEX", "UnauthorizedExternalService"},
	{"RLSE", "RateLimitServiceError"},
	{"DC", "DownstreamConnectionTermination"},
	{"URX", "UpstreamRetryLimitExceeded"},
	{"SI", "StreamIdleTimeout"},
	{"IH", "InvalidEnvoyRequestHeaders"},
	{"DPE", "DownstreamProtocolError"},
	{"UMSDR", "UpstreamMaxStreamDurationReached"},
	{"RFCF", "ResponseFromCacheFilter"},
	{"NFCF", "NoFilterConfigFound"},
	{"DT", "DurationTimeout"},
	{"UPE", "UpstreamProtocolError"},
	{"NC", "NoClusterFound"},
	{"OM", "OverloadManagerTerminated"},
	{"DF", "DnsResolutionFailed"},
	{"DO", "DropOverload"},
	{"DR", "DownstreamRemoteReset"},
	{"UDO", "UnconditionalDropOverload"},
}

// The two names of a flag.
const (
	shortName = 0
	longName  = 1
)

// String gives the short names joined by commas, as in UF,URX; "-" for none.
func (f Flags) String() string {
	if f == 0 {
		return "-"
	}
	return string(f.appendNames(nil, shortName))
}

func (f Flags) appendNames(dst []byte, which int) []byte {
	begin := len(dst)
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if i >= len(flagNames) {
			break
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, flagNames[i][which]...)
	}
	return dst
}

// splitFlags reads short or long names joined by commas, in any order; "-" is none. It also gives the names that it does not
// know.
func splitFlags(s string) (f Flags, other string) {
	if s == "-" || s == "" {
		return 0, ""
	}
	var unknown []string
next:
	for name := range strings.SplitSeq(s, ",") {
		for i, n := range flagNames {
			if name == n[shortName] || name == n[longName] {
				f |= 1 << i
				continue next
			}
		}
		if name != "" && name != "-" {
			unknown = append(unknown, name)
		}
	}
	return f, strings.Join(unknown, ",")
}
