package local

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestNames(t *testing.T) {
	names := &Names{}
	if _, ok := names.lookup("web", asker{namespace: "shop"}, "cluster.local"); ok {
		t.Error("a resolver without names knows one")
	}
	ip := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	given := map[string][]netip.Addr{
		"Web.shop.svc.cluster.local.": ip("10.96.0.1"), "web.store.svc.cluster.local": ip("10.96.0.2"),
		"both.test": ip("10.96.0.3"), "idle.shop.svc.cluster.local": nil,
		"shop.web.svc.cluster.local": ip("10.96.0.4"),
	}
	names.Set(given, map[string][]netip.Addr{
		"both.test": ip("240.240.0.1"), "*.test": ip("240.240.0.2"), "*.deep.test": ip("240.240.0.3"), "api.test": ip("240.240.0.4"),
	})
	given["web.store.svc.cluster.local"][0] = netip.MustParseAddr("10.96.9.9") // Set has copied
	shop, store, plain := asker{"shop", true}, asker{"store", true}, asker{"shop", false}
	const none = "[] false"
	for _, c := range []struct {
		from asker
		name string
		want string
	}{
		{shop, "web", "[10.96.0.1] true"}, {store, "web", "[10.96.0.2] true"}, {asker{}, "web", none},
		{store, "web.shop", "[10.96.0.1] true"}, {store, "web.shop.svc.", "[10.96.0.1] true"}, {asker{}, "web.shop", "[10.96.0.1] true"},
		{store, "WEB.shop.svc.cluster.local", "[10.96.0.1] true"}, {shop, "web.svc.cluster.local", none},
		{shop, "idle", "[] true"}, {store, "idle", none},
		{shop, "both.test", "[10.96.0.3] true"}, {shop, "api.test", "[240.240.0.4] true"}, {plain, "api.test", none},
		{shop, "x.test", "[240.240.0.2] true"}, {shop, "x.deep.test", "[240.240.0.3] true"}, {shop, "y.x.deep.test", "[240.240.0.3] true"},
		{shop, "test", none}, {plain, "x.test", none}, {shop, "", none},
	} {
		addrs, ok := names.lookup(c.name, c.from, "cluster.local")
		if addrs == nil {
			addrs = []netip.Addr{}
		}
		if got := fmt.Sprint(addrs, ok); got != c.want {
			t.Errorf("%+v asks for %q: got %s, want %s", c.from, c.name, got, c.want)
		}
	}
}

func TestPodFiles(t *testing.T) {
	gateway := netip.MustParseAddr("10.244.0.1")
	if got, want := resolvConf(gateway, "shop", "cluster.local"), "nameserver 10.244.0.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := resolvConf(gateway, "", "mesh.test"), "nameserver 10.244.0.1\nsearch svc.mesh.test mesh.test\noptions ndots:5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := plainNSSwitch("passwd: files systemd\nhosts:  files resolve [!UNAVAIL=return] dns\nservices: db files\n")
	if want := "passwd: files systemd\nhosts: files dns\nservices: db files\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNameservers(t *testing.T) {
	got := Nameservers("# mine\nnameserver 127.0.0.53\nnameserver\nnameserver fe80::1%eth0\n nameserver 2001:db8::1 # two\nsearch x\nnameserver x\n")
	if want := "[127.0.0.53:53 [fe80::1%eth0]:53 [2001:db8::1]:53]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
