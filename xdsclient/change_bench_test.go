package xdsclient

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// nobody is an identity without a certificate.
type nobody struct{}

func (nobody) ServerConfig(spiffeid.Matcher) *tls.Config { return &tls.Config{} }
func (nobody) ClientConfig(spiffeid.Matcher) *tls.Config { return &tls.Config{} }

// BenchmarkOneChange is what a sidecar does when its workload begins to require mutual TLS, or stops: the response is read,
// translated, put in force by a proxy, and acknowledged. The configurations are istiod's.
func BenchmarkOneChange(b *testing.B) {
	p := proxy.New(proxy.Options{Identity: nobody{}, Capture: proxy.Capture{Doors: []proxy.Door{
		{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Direction: proxy.Inbound}}}})
	defer p.Close()
	c, err := New(Options{Target: "none", Apply: p.Apply, AccessLog: testLogs, Delta: true})
	if err != nil {
		b.Fatal(err)
	}
	acks := 0
	s := newSession(c, link{send: func(r request) error {
		if r.nonce != "" && r.refused == nil {
			acks++
		}
		return nil
	}})
	for k, resp := range recorded(b, "permissive") {
		if err := s.take(sotwUpdate(kind(k), resp)); err != nil {
			b.Fatal(err)
		}
	}
	if !c.status.Applied || c.status.Refused > 0 {
		b.Fatalf("not applied: %+v", c.status)
	}
	var inbound []*anypb.Any
	for _, scenario := range []string{"strict", "permissive"} {
		for _, raw := range recorded(b, scenario)[kindListener].Resources {
			if nameOf(raw.Value) == "virtualInbound" {
				inbound = append(inbound, raw)
			}
		}
	}
	acks = 0
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		u := &update{kind: kindListener, version: "1", nonce: "1", changes: map[string]change{"virtualInbound": {inbound[n%2], "1"}}}
		if err := s.take(u); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if acks != n {
		b.Fatalf("%d of %d acknowledged", acks, n)
	}
}
