package local

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// Names is what the mesh's resolver knows, changed as a whole while it answers. The zero value knows nothing.
//
// Keys are full names without a dot at the end, in small letters: "reviews.shop.svc.cluster.local" has the service's
// address or, if the service is headless, those of its ready pods. A key "*.example.com" stands for every name below
// example.com that has no key of its own. A key without an address is a name that exists and answers with nothing.
type Names struct {
	table atomic.Pointer[nameTable]
}

type nameTable struct {
	cluster, captured map[string][]netip.Addr
}

// Set replaces what Names knows. The cluster's names are for every pod. Those of ServiceEntries are only for pods with a
// sidecar (captured), since their addresses may be invented and only a sidecar knows where they lead. A name in both has
// the cluster's addresses. The maps are copied.
func (n *Names) Set(cluster, captured map[string][]netip.Addr) {
	n.table.Store(&nameTable{cluster: copyNames(cluster), captured: copyNames(captured)})
}

func copyNames(names map[string][]netip.Addr) map[string][]netip.Addr {
	out := make(map[string][]netip.Addr, len(names))
	for name, addrs := range names {
		out[strings.ToLower(strings.TrimSuffix(name, "."))] = slices.Clone(addrs)
	}
	return out
}

// lookup gives the addresses of a name, and whether it exists, for a pod of a namespace ("" for none). Names that the
// pod's search list would complete ("reviews", "reviews.shop", "reviews.shop.svc") are completed here as well, for
// programs that read no search list. The full name wins.
func (n *Names) lookup(name string, asker asker, domain string) ([]netip.Addr, bool) {
	table := n.table.Load()
	if table == nil {
		return nil, false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if addrs, ok := table.find(name, asker.captured); ok {
		return addrs, true
	}
	for _, suffix := range searchList(asker.namespace, domain) {
		if addrs, ok := table.cluster[name+"."+suffix]; ok {
			return addrs, true
		}
	}
	return nil, false
}

func (t *nameTable) find(name string, captured bool) ([]netip.Addr, bool) {
	if addrs, ok := t.cluster[name]; ok {
		return addrs, true
	}
	if !captured {
		return nil, false
	}
	if addrs, ok := t.captured[name]; ok {
		return addrs, true
	}
	for rest := name; ; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			return nil, false
		}
		if addrs, ok := t.captured["*."+parent]; ok {
			return addrs, true
		}
		rest = parent
	}
}

// asker is the pod that asks.
type asker struct {
	namespace string
	captured  bool
}

// searchList is what a pod's resolv.conf has.
func searchList(namespace, domain string) []string {
	out := []string{"svc." + domain, domain}
	if namespace == "" {
		return out
	}
	return append([]string{namespace + ".svc." + domain}, out...)
}

func resolvConf(server netip.Addr, namespace, domain string) string {
	return fmt.Sprintf("nameserver %s\nsearch %s\noptions ndots:5\n", server, strings.Join(searchList(namespace, domain), " "))
}

func hostsFile(p PodNet) string {
	return fmt.Sprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n", p.IP, p.Name)
}

// plainNSSwitch gives nsswitch.conf with host names looked up in files and DNS alone. Other services of a system (resolve,
// mymachines, mdns) ask the machine's resolver over a unix socket, which no namespace of ours stands before.
func plainNSSwitch(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "hosts:") {
			lines[i] = "hosts: files dns"
		}
	}
	return strings.Join(lines, "\n")
}

// Nameservers are the DNS servers that the text of a resolv.conf names, for FabricConfig.Upstream.
func Nameservers(resolvConf string) []netip.AddrPort {
	var out []netip.AddrPort
	for line := range strings.Lines(resolvConf) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, netip.AddrPortFrom(addr, 53))
		}
	}
	return out
}
