package graph

import (
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

func declared(wire resolve.Wire, status resolve.Status, server resolve.Server) *Declared {
	return &Declared{Verdict: resolve.Verdict{Wire: wire, Status: status, Server: server, Policy: resolve.None, Rule: resolve.None}}
}

// TestLock is the table of what a lock is made of. Each line changes one thing of an edge between two workloads with sidecars
// on which 10 requests/s are seen.
func TestLock(t *testing.T) {
	auto := declared(resolve.WireMTLS, resolve.StatusAuto, resolve.ServerPermissive)
	conflict := declared(resolve.WireRefused, resolve.StatusConflict, resolve.ServerStrict)
	conflict.Verdict.Cause = resolve.CausePlaintextStrict
	other := declared(resolve.WireTLS, resolve.StatusOK, resolve.ServerDisable)
	egress := &Node{Kind: NodeEgress, Name: "pay.example.com"}
	failing := []metrics.CauseRate{{Cause: metrics.CausePlaintextToTLS, Failures: 5}}
	for _, c := range []struct {
		name     string
		seen     *Observed
		declared *Declared
		to       *Node
		dark     bool // the destination's sidecar does not report
		bare     float64
		lock     Lock
		reason   string // a part of it
	}{
		{name: "nothing", lock: LockUnknown, reason: "no traffic in the last 60 s"},
		{name: "zeroes", seen: &Observed{}, lock: LockUnknown, reason: "no traffic in the last 60 s"},
		{name: "all mTLS", seen: &Observed{Requests: 10, MTLS: 1, Known: 1}, lock: LockLocked, reason: "mTLS on all of 10 requests/s"},
		{name: "almost all", seen: &Observed{Requests: 10, MTLS: almostAll, Known: 1}, lock: LockMixed, reason: "mTLS on >99 %"},
		{name: "99 %", seen: &Observed{Requests: 10, MTLS: 0.99, Known: 1}, lock: LockMixed, reason: "mTLS on 99 %"},
		{name: "1 %", seen: &Observed{Requests: 10, MTLS: 0.01, Known: 1}, lock: LockMixed, reason: "mTLS on 1 %"},
		{name: "hardly any", seen: &Observed{Requests: 10, MTLS: 1e-6, Known: 1}, lock: LockMixed, reason: "mTLS on <1 %"},
		{name: "none", seen: &Observed{Requests: 10, Known: 1}, lock: LockOpen, reason: "plaintext on all of 10 requests/s"},
		{name: "connections", seen: &Observed{Connections: 2.5, Known: 1, MTLS: 1}, lock: LockLocked, reason: "2.5 connections/s"},
		{name: "both", seen: &Observed{Requests: 1, Connections: 2, Known: 1, MTLS: 1}, lock: LockLocked, reason: "1 requests/s and 2 connections/s"},
		{name: "bytes alone", seen: &Observed{Sent: 100, Known: 1, MTLS: 1}, lock: LockLocked, reason: "bytes/s on connections from before"},
		{name: "nobody knows", seen: &Observed{Requests: 10}, lock: LockUnknown, reason: "nobody says whether it is encrypted"},
		{name: "nobody knows the rest of mTLS", seen: &Observed{Requests: 10, MTLS: 1, Known: 0.5}, lock: LockUnknown, reason: "of the rest nobody knows"},
		{name: "nobody knows the rest of plaintext", seen: &Observed{Requests: 10, Known: 0.5}, lock: LockOpen, reason: "plaintext on 50 %"},
		{name: "half of the handshakes fail", seen: &Observed{Requests: 5, MTLS: 1, Known: 1, Failures: 5, Causes: failing}, lock: LockBroken,
			reason: "api requires mTLS and web sends plaintext: handshakes fail (plaintext-to-tls), 5/s, and 5/s get through"},
		{name: "less than half fail", seen: &Observed{Requests: 6, MTLS: 1, Known: 1, Failures: 5, Causes: failing}, lock: LockLocked},
		{name: "all fail in the handshake", seen: &Observed{Failures: 5, Causes: failing}, lock: LockBroken, reason: "5/s"},
		{name: "all are lost", seen: &Observed{Lost: 4}, lock: LockBroken, reason: "4 attempts/s never get there"},
		{name: "as many lost as fail", seen: &Observed{Requests: 6, Known: 1, MTLS: 1, Lost: 5, Failures: 5, Causes: failing}, lock: LockLocked},
		{name: "errors of the application", seen: &Observed{Requests: 10, Errors: 10, MTLS: 1, Known: 1}, lock: LockLocked},
		{name: "errors that only the source sees", seen: &Observed{Requests: 10, Errors: 10, Known: 1}, dark: true, lock: LockUnknown, reason: "nobody says whether TLS is why"},
		{name: "errors where the policies refuse", seen: &Observed{Requests: 10, Errors: 10, Known: 1}, declared: conflict, dark: true, lock: LockBroken, reason: "api requires mTLS and web sends plaintext"},
		{name: "the policies refuse and it works", seen: &Observed{Requests: 10, Known: 1}, declared: conflict, lock: LockOpen},
		{name: "pods without a sidecar", seen: &Observed{Requests: 10, MTLS: 0.6, Known: 1}, bare: 4, lock: LockMixed,
			reason: "mTLS on 60 % of 10 requests/s, the rest is plaintext; no sidecar of api counts 4/s of it, so some of its pods may have none"},
		{name: "pods without a sidecar, and nobody knows", seen: &Observed{Requests: 10, MTLS: 1, Known: 0.6}, bare: 4, lock: LockUnknown,
			reason: "of the rest nobody knows; no sidecar of api counts 4/s of it"},
		{name: "no pod that is called has a sidecar", seen: &Observed{Connections: 4, Known: 1}, bare: 4, lock: LockOpen, reason: "; no sidecar of api counts it, so"},
		{name: "bytes to a pod without a sidecar", seen: &Observed{Connections: 9, MTLS: almostAll, Known: 1}, bare: 1e-4, lock: LockMixed, reason: "counts it, so"},
		{name: "other TLS", seen: &Observed{Requests: 10, Known: 1}, declared: other, lock: LockUnknown, reason: "other TLS"},
		{name: "bytes to the outside", seen: &Observed{Connections: 1, Known: 1, Protocol: "tcp"}, to: egress, lock: LockUnknown, reason: "its sidecar cannot tell"},
		{name: "requests to the outside", seen: &Observed{Requests: 1, Known: 1, Protocol: "http"}, to: egress, lock: LockOpen},
		{name: "mTLS to the outside", seen: &Observed{Connections: 1, Known: 1, MTLS: 1, Protocol: "tcp"}, to: egress, lock: LockLocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.declared == nil {
				c.declared = auto
			}
			if c.to == nil {
				c.to = &Node{Kind: NodeService, Name: "api"}
			}
			j := judgement{now: noon, observation: &metrics.Observation{Start: noon.Add(-time.Minute), End: noon, Newest: noon},
				edge: &Edge{Declared: c.declared}, from: &Node{Kind: NodeWorkload, Name: "web", Capture: mesh.CaptureSidecar}, to: c.to, seen: c.seen, sidecar: !c.dark, bare: c.bare}
			lock, reason := j.lock()
			if lock != c.lock || reason == "" || !strings.Contains(reason, c.reason) {
				t.Errorf("%s: %q, want %s: %q", lock, reason, c.lock, c.reason)
			}
			if strings.ContainsAny(reason, ".\n") && strings.HasSuffix(reason, ".") {
				t.Errorf("%q ends like a sentence, and others go on after it", reason)
			}
		})
	}
}

// TestNoCauseIsForgotten wants words for every cause that tells more than that the other end gave up.
func TestNoCauseIsForgotten(t *testing.T) {
	for _, cause := range []string{metrics.CausePlaintextToTLS, metrics.CauseTLSToPlaintext, metrics.CauseNoClientCertificate,
		metrics.CauseExpired, metrics.CauseNotYetValid, metrics.CauseUnknownCA, metrics.CauseWrongTrustDomain, metrics.CauseSANMismatch,
		metrics.CauseBadCertificate, metrics.CauseVersion, metrics.CauseCipher, metrics.CauseALPN, metrics.CauseNoIdentity} {
		j := judgement{edge: &Edge{}, from: &Node{Name: "web"}, to: &Node{Name: "api"}, seen: &Observed{}}
		text := j.disagreement(cause)
		if !strings.Contains(text, "web") || !strings.Contains(text, "api") || strings.Contains(text, "%!") || strings.Contains(text, "get through") {
			t.Errorf("%s: %q", cause, text)
		}
		if vague(cause) {
			t.Errorf("%s is vague", cause)
		}
	}
	for cause, want := range map[resolve.Cause]string{
		resolve.CauseOutsideStrict:  "requires mTLS",
		resolve.CauseMTLSNoSidecar:  "nobody to answer",
		resolve.CauseOneWayTLS:      "does not take",
		resolve.CauseServerIdentity: "another identity",
		resolve.CauseBlocked:        "refuses",
		resolve.CauseMatch:          "does not get through",
	} {
		j := judgement{edge: &Edge{Declared: &Declared{Verdict: resolve.Verdict{Cause: cause}}}, seen: &Observed{}}
		if text := j.disagreement(metrics.CauseReset); !strings.Contains(text, want) || !strings.Contains(text, "the client") {
			t.Errorf("%s: %q, want %q", cause, text, want)
		}
	}
}

func TestReasonNamesWhatDecided(t *testing.T) {
	d := declared(resolve.WireMTLS, resolve.StatusOK, resolve.ServerStrict)
	d.Verdict.Client = mesh.ClientIstioMutual
	d.Policy.Ref = mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: "shop", Name: "default"}
	d.Rule.Ref = mesh.Ref{Kind: mesh.KindDestinationRule, Namespace: "shop", Name: "api"}
	j := judgement{edge: &Edge{Declared: d}, seen: &Observed{Requests: 1, MTLS: 1, Known: 1}, to: &Node{Kind: NodeService}}
	if _, why := j.lock(); !strings.HasSuffix(why, " (client ISTIO_MUTUAL by DestinationRule shop/api; server STRICT by PeerAuthentication shop/default)") {
		t.Error(why)
	}
	j.edge.Declared = nil
	j.seen.Policies = []string{"Policy shop/web"}
	if _, why := j.lock(); !strings.HasSuffix(why, " (Policy shop/web)") {
		t.Errorf("without a verdict: %s", why)
	}
	j.seen.Policies = []string{"Policy shop/a", "Policy shop/b"}
	if _, why := j.lock(); strings.Contains(why, "Policy") {
		t.Errorf("of two policies neither decided alone: %s", why)
	}
}

func TestChangedReasons(t *testing.T) {
	j := judgement{now: noon, edge: &Edge{Changed: &Changed{InForce: 1, Total: 3}}}
	if _, why := j.lock(); why != "no traffic was seen; a new verdict is not yet in force on 2 of 3 sidecars" {
		t.Error(why)
	}
	j.edge.Changed = &Changed{Since: noon.Add(-3 * time.Second), InForce: 3, Total: 3}
	if l, why := j.lock(); l != LockUnknown || why != "no measurement since the verdict changed 3 s ago" {
		t.Error(l, why)
	}
	j.edge.Changed.Observed = &metrics.Observation{Start: noon.Add(-3 * time.Second), End: noon}
	j.observation = j.edge.Changed.Observed
	if l, why := j.lock(); l != LockUnknown || why != "no traffic since the verdict changed 3 s ago" {
		t.Error(l, why)
	}
	j.now = time.Time{}
	if _, why := j.lock(); why != "no traffic since the verdict changed" {
		t.Error(why)
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{0: "0 %", 0.001: "<1 %", 0.006: "1 %", 0.5: "50 %", 0.99: "99 %", 0.994: "99 %",
		0.996: ">99 %", almostAll: ">99 %", 1: "100 %"} {
		if got := percent(share); got != want {
			t.Errorf("percent(%g) = %s, want %s", share, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.001: "<0.01", 0.05: "0.05", 0.5: "0.5", 0.96: "1", 1: "1", 1.25: "1.2", 9.94: "9.9", 12.4: "12", 1234: "1234"} {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 s", 3400 * time.Millisecond: "3 s", time.Minute: "60 s", 5 * time.Minute: "5 min", 3 * time.Hour: "3 h"} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestEdgeID(t *testing.T) {
	if got := EdgeID("workload/shop/web.Deployment", "service/api.shop.svc.cluster.local", 80, ""); got != "workload/shop/web.Deployment>service/api.shop.svc.cluster.local:80" {
		t.Error(got)
	}
	if got := EdgeID("a", "b", 0, "v1"); got != "a>b:0|v1" {
		t.Error(got)
	}
	seen := map[string]bool{}
	for _, from := range []string{"a", "a>b", "a%3Eb", "a|b"} {
		for _, to := range []string{"c", "b>c", "c:80", "c:80|v1"} {
			for _, subset := range []string{"", "v1", "v1|v1"} {
				id := EdgeID(from, to, 80, subset)
				if seen[id] {
					t.Errorf("two edges are %s", id)
				}
				seen[id] = true
			}
		}
	}
	e := Edge{From: "a", To: "b", Port: 1, Subset: "c"}
	if e.ID() != EdgeID("a", "b", 1, "c") {
		t.Error(e.ID())
	}
}

func TestLockCount(t *testing.T) {
	var c LockCount
	if c.Worst() != LockUnknown || c.Total() != 0 {
		t.Errorf("nothing counted is %s", c.Worst())
	}
	for i, l := range []Lock{LockLocked, LockUnknown, LockMixed, LockOpen, LockBroken} {
		c.Add(l)
		if c.Worst() != l || c.Total() != i+1 {
			t.Errorf("after %s the worst of %d is %s", l, c.Total(), c.Worst())
		}
	}
}
