package resolve

import (
	"regexp"
	"testing"
)

// TestCauseWords fails when a cause is added without its word, or with one that another has.
func TestCauseWords(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]Cause{}
	for c := range causeCount {
		w := c.String()
		if !kebab.MatchString(w) {
			t.Errorf("cause %d has the word %q, want kebab case", c, w)
		}
		if other, dup := seen[w]; dup {
			t.Errorf("causes %d and %d are both %q", other, c, w)
		}
		seen[w] = c
	}
	if got := causeCount.String(); got != "" {
		t.Errorf("a value beyond the last cause is %q, want an empty word", got)
	}
}

// TestWords pins the words at both ends of each enumeration, so that a constant put in the middle shows.
func TestWords(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{StatusOK.String(), "OK"}, {StatusMayConflict.String(), "MAY CONFLICT"}, {StatusUnknown.String(), "UNKNOWN"},
		{ServerDisable.String(), "DISABLE"}, {ServerMixed.String(), "MIXED"},
		{AutoOff.String(), "off"}, {AutoMTLS.String(), "mTLS"}, {AutoMixed.String(), "mixed"},
		{WirePlaintext.String(), "plaintext"}, {WireRefused.String(), "refused"}, {WireUnknown.String(), "unknown"},
		{OutboundCluster.String(), "cluster"}, {OutboundBlackHole.String(), "BlackHoleCluster"}, {OutboundDirect.String(), "direct"},
		{TieNone.String(), "none"}, {TieUnspecified.String(), "unspecified"},
		{ProtocolAuto.String(), "auto"}, {ProtocolUDP.String(), "UDP"},
		{InboundNoChain.String(), "no-chain"}, {InboundBlackHole.String(), "black-hole"},
		{Status(99).String(), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("word is %q, want %q", tc.got, tc.want)
		}
	}
}
