package xds

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// hostKey is all that the virtual host of a service comes from where no VirtualService has a say.
type hostKey struct {
	port *mesh.Port
	own  bool // the client is of the service's namespace and knows its short name
	name string
}

// host is a virtual host, packed: several tables share it.
type host struct {
	domains []string
	*routev3.VirtualHost
	packed []byte
}

func newHost(v *routev3.VirtualHost) host { return host{v.Domains, v, pack(v).Value} }

// routeTables gives a table for each HTTP port, and one for each port of which nothing is known.
func (sc *scope) routeTables() []*Resource {
	var out []*Resource
	aliases := sc.aliases()
	for _, port := range sortedPorts(sc.http) {
		if sc.http[port].http {
			out = append(out, sc.portTable(port, aliases))
		}
	}
	for _, t := range sc.tables {
		out = append(out, sc.t.table(t.name, []host{newHost(sc.serviceHost(t.c, []string{"*"}, t.name))}))
	}
	return out
}

// portTable holds all hosts that are called on one port, and what becomes of the others.
func (sc *scope) portTable(port uint32, aliases map[string][]*mesh.Service) *Resource {
	var hosts []host
	here := map[string]bool{}
	for _, c := range sc.clusters {
		if c.Subset != nil || c.port.Number != port || c.protocol.Class == resolve.ProtocolTCP {
			continue
		}
		if c.protocol.Class == resolve.ProtocolAuto && len(sc.t.listenOn(c)) > 0 {
			continue // it has a table of its own
		}
		here[c.service.Hostname] = true
		name := fmt.Sprintf("%s:%d", c.service.Hostname, port)
		if len(aliases[c.service.Hostname]) > 0 {
			hosts = append(hosts, newHost(sc.serviceHost(c, sc.domains(c, aliases), name)))
			continue
		}
		hosts = append(hosts, sc.sharedHost(c, name))
	}
	for _, v := range append(sc.virtualHosts(port, here), sc.catchAll()) {
		hosts = append(hosts, newHost(v))
	}
	return sc.t.table(fmt.Sprint(port), hosts)
}

// table is a route configuration. A domain stands in one host alone; the first counts. The hosts are put in as they are
// packed: a mesh has thousands, and most are the same in every namespace.
func (t *Translator) table(name string, hosts []host) *Resource {
	a := pack(&routev3.RouteConfiguration{Name: name, ValidateClusters: truth(false), IgnorePortInHostMatching: true})
	seen := make(map[string]bool, 8*len(hosts))
	for _, h := range hosts {
		fresh := h.domains
		if slices.ContainsFunc(fresh, func(d string) bool { return seen[d] }) {
			fresh = slices.DeleteFunc(slices.Clone(fresh), func(d string) bool { return seen[d] })
			if len(fresh) == 0 {
				continue
			}
			h = newHost(&routev3.VirtualHost{
				Name: h.Name, Domains: fresh, Routes: h.Routes, IncludeRequestAttemptCount: h.IncludeRequestAttemptCount, RequireTls: h.RequireTls})
		}
		for _, d := range fresh {
			seen[d] = true
		}
		const virtualHosts = 2 // the field's number
		a.Value = protowire.AppendBytes(protowire.AppendTag(a.Value, virtualHosts, protowire.BytesType), h.packed)
	}
	return t.store.addPacked(name, a)
}

// sharedHost is serviceHost with the service's own names, made once where no VirtualService has a say.
func (sc *scope) sharedHost(c *cluster, name string) host {
	if v, _ := sc.ruler(c.service.Hostname); v != nil {
		return newHost(sc.serviceHost(c, sc.domains(c, nil), name))
	}
	k := hostKey{c.port, sc.node.Workload.Ref.Namespace == c.service.Ref.Namespace, c.name}
	h, ok := sc.t.hosts[k]
	if !ok {
		h = newHost(sc.serviceHost(c, sc.domains(c, nil), name))
		sc.t.hosts[k] = h
	}
	return h
}

// serviceHost leads to a service, or to where a VirtualService says.
func (sc *scope) serviceHost(c *cluster, domains []string, name string) *routev3.VirtualHost {
	out := &routev3.VirtualHost{Name: name, Domains: domains, IncludeRequestAttemptCount: true}
	if v, _ := sc.ruler(c.service.Hostname); v != nil {
		out.Routes = sc.rules(v, c.port.Number)
	} else {
		out.Routes = []*routev3.Route{sc.t.defaultRoute(c.name)}
	}
	return out
}

// aliases lists the ExternalName services by the host that they stand for.
func (sc *scope) aliases() map[string][]*mesh.Service {
	out := map[string][]*mesh.Service{}
	for _, s := range sc.t.snap.Services {
		if s.Resolution == mesh.ResolutionExternalName && !sc.t.legacy && sc.t.r.Visible(sc.client, s) {
			out[s.ExternalName] = append(out[s.ExternalName], s)
		}
	}
	return out
}

// domains are the names by which a client of this namespace calls a service, each with its port and without. Addresses
// come last, and every pod of a headless service has a name of its own.
func (sc *scope) domains(c *cluster, aliases map[string][]*mesh.Service) []string {
	var names []string
	for _, s := range append([]*mesh.Service{c.service}, aliases[c.service.Hostname]...) {
		names = append(names, sc.names(s)...)
	}
	if c.service.Headless() {
		for _, n := range slices.Clone(names) {
			names = append(names, "*."+n)
		}
	}
	for _, a := range c.service.Addresses {
		if ip, err := netip.ParseAddr(a); err == nil && ip.Is6() {
			a = "[" + a + "]"
		} else if err != nil {
			continue
		}
		names = append(names, a)
	}
	return withPorts(names, c.port.Number)
}

func (sc *scope) names(s *mesh.Service) []string {
	names := []string{s.Hostname, s.Hostname + "."}
	if s.Entry() {
		return names
	}
	ns := s.Ref.Namespace
	if ns == sc.node.Workload.Ref.Namespace {
		names = append(names, s.Ref.Name)
	}
	return append(names, s.Ref.Name+"."+ns+".svc", s.Ref.Name+"."+ns)
}

func withPorts(names []string, port uint32) []string {
	var out []string
	for _, n := range names {
		out = append(out, n)
		if !strings.HasSuffix(n, ".") {
			out = append(out, fmt.Sprintf("%s:%d", n, port))
		}
	}
	return out
}

// catchAll is what becomes of hosts that no table knows (semantics M46).
func (sc *scope) catchAll() *routev3.VirtualHost {
	name, r := "allow_any", &routev3.Route{Name: "allow_any", Match: everyPath()}
	r.Action = &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: passthroughCluster}, Timeout: seconds(0)}}
	if sc.blocked {
		name, r = "block_all", &routev3.Route{Name: "block_all", Match: everyPath()}
		r.Action = &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}}
	}
	return &routev3.VirtualHost{Name: name, Domains: []string{"*"}, Routes: []*routev3.Route{r}, IncludeRequestAttemptCount: true}
}

func everyPath() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// defaultRoute leads everything to one cluster, without a timeout.
func (t *Translator) defaultRoute(cluster string) *routev3.Route {
	return &routev3.Route{Name: "default", Match: everyPath(), Action: &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
		Timeout:          seconds(0),
		RetryPolicy:      t.retries(nil),
	}}}
}

// retryOn is what Istio tries again where nobody says anything (semantics M57).
const retryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"

// retries is the policy of a rule; nil of one that says nothing is Istio's, of one that says 0 none. Numbers among the
// conditions are status codes. The legacy dialects tried 503 again by default.
func (t *Translator) retries(h *mesh.HTTPRetries) *routev3.RetryPolicy {
	out := &routev3.RetryPolicy{RetryOn: retryOn, NumRetries: number(2)}
	if h != nil {
		if h.Attempts <= 0 {
			return nil
		}
		out.NumRetries = number(uint32(h.Attempts))
		if h.PerTryTimeout > 0 {
			out.PerTryTimeout = durationpb.New(h.PerTryTimeout)
		}
	}
	if h != nil && h.RetryOn != "" {
		var on []string
		for _, cond := range strings.Split(h.RetryOn, ",") {
			cond = strings.TrimSpace(cond)
			if code, err := strconv.ParseUint(cond, 10, 16); err == nil {
				out.RetriableStatusCodes = append(out.RetriableStatusCodes, uint32(code))
				continue
			}
			on = append(on, cond)
		}
		if len(out.RetriableStatusCodes) > 0 && !slices.Contains(on, "retriable-status-codes") {
			on = append(on, "retriable-status-codes")
		}
		out.RetryOn = strings.Join(on, ",")
	} else if t.legacy {
		out.RetriableStatusCodes = []uint32{503}
	}
	out.RetryHostPredicate = []*routev3.RetryPolicy_RetryHostPredicate{{
		Name:       "envoy.retry_host_predicates.previous_hosts",
		ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: t.part("previous hosts", func() proto.Message { return &previousv3.PreviousHostsPredicate{} })},
	}}
	out.HostSelectionRetryMaxAttempts = 5
	return out
}
