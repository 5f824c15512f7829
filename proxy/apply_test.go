package proxy_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/oarlock/oarlock/proxy"
)

// A listener that changes in its chains alone keeps its socket, and one that changes in its address does not, also right
// after the other and the other way round.
func TestApplyMovesSockets(t *testing.T) {
	first, second, backend, other := freePort(t), freePort(t), echo(t), echo(t)
	config := func(at netip.AddrPort, cluster string) *proxy.Config {
		return &proxy.Config{
			Listeners: []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo(cluster)}}}},
			Clusters:  []*proxy.Cluster{static("c", backend, nil), static("d", other, nil)},
		}
	}
	p, _ := start(t, proxy.Options{}, config(first, "c"))
	for _, step := range []struct {
		at      netip.AddrPort
		cluster string
	}{{first, "d"}, {second, "d"}, {second, "c"}, {first, "c"}} {
		if err := p.Apply(config(step.at, step.cluster)); err != nil {
			t.Fatal(err)
		}
		if got, err := say(t, dial(t, step.at), "ahoy"); got != "ahoy" || err != nil {
			t.Errorf("%s to %s: got %q, %v", step.at, step.cluster, got, err)
		}
		gone := second
		if step.at == second {
			gone = first
		}
		if c, err := net.Dial("tcp", gone.String()); err == nil {
			c.Close()
			t.Errorf("%s is still listened on after %s", gone, step.at)
		}
	}
}

// Clusters that are the same list are taken over, and a list with one of them gone is not.
func TestApplyTakesClustersOver(t *testing.T) {
	at, backend := freePort(t), echo(t)
	l := []*proxy.Listener{{Name: "l", Address: at, Bind: true, Chains: []*proxy.FilterChain{{TCP: tcpTo("c")}}}}
	all := []*proxy.Cluster{static("b", backend, nil), static("c", backend, nil)}
	p, _ := start(t, proxy.Options{}, &proxy.Config{Listeners: l, Clusters: all})
	for _, step := range []struct {
		clusters []*proxy.Cluster
		works    bool
	}{{all, true}, {all[:1], false}, {all, true}} {
		if err := p.Apply(&proxy.Config{Listeners: l, Clusters: step.clusters}); err != nil {
			t.Fatal(err)
		}
		if got, _ := say(t, dial(t, at), "ahoy"); (got == "ahoy") != step.works {
			t.Errorf("with %d clusters: got %q", len(step.clusters), got)
		}
	}
}
