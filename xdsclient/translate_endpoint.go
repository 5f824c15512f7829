package xdsclient

import (
	"fmt"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/oarlock/oarlock/proxy"
)

// translateEndpoints reads the endpoints of a cluster. With dns an address may be a host name; else it is one of IP.
func (t *translation) translateEndpoints(a *endpointv3.ClusterLoadAssignment, dns bool) ([]proxy.Endpoint, error) {
	if a == nil {
		return nil, nil
	}
	if err := t.fields(a, "cluster_name endpoints policy", ""); err != nil {
		return nil, err
	}
	if a.Policy != nil {
		if err := t.fields(a.Policy, "", "overprovisioning_factor endpoint_stale_after weighted_priority_health"); err != nil {
			return nil, err
		}
	}
	var out []proxy.Endpoint
	for _, l := range a.Endpoints {
		if err := t.fields(l, "locality lb_endpoints load_balancing_weight priority", "proximity metadata"); err != nil {
			return nil, err
		}
		for _, e := range l.LbEndpoints {
			one, err := t.endpoint(e, dns)
			if err != nil {
				return nil, fmt.Errorf("endpoint %d: %w", len(out), err)
			}
			one.Priority, one.Zone = l.Priority, l.GetLocality().GetZone()
			out = append(out, one)
		}
	}
	return out, nil
}

// endpoint reads one.
func (t *translation) endpoint(e *endpointv3.LbEndpoint, dns bool) (out proxy.Endpoint, err error) {
	if err := t.fields(e, "endpoint health_status metadata load_balancing_weight", ""); err != nil {
		return out, err
	}
	if err := t.fields(e.GetEndpoint(), "address hostname", "health_check_config additional_addresses"); err != nil {
		return out, err
	}
	switch e.HealthStatus {
	case corev3.HealthStatus_UNHEALTHY, corev3.HealthStatus_DRAINING, corev3.HealthStatus_TIMEOUT:
		out.Down = true
	}
	out.Weight = e.GetLoadBalancingWeight().GetValue()
	out.Labels = texts(e.GetMetadata().GetFilterMetadata()["envoy.transport_socket_match"])
	out.Workload = workload(metadataText(e.Metadata, "istio", "workload"))
	address := e.GetEndpoint().GetAddress()
	name := address.GetSocketAddress().GetAddress()
	if _, notIP := netip.ParseAddr(name); dns && notIP != nil && name != "" {
		port := address.GetSocketAddress().GetPortValue()
		if port > 65535 {
			return out, fmt.Errorf("address: port %d is none", port)
		}
		out.Host, out.Address = name, netip.AddrPortFrom(netip.Addr{}, uint16(port))
		return out, nil
	}
	out.Address, err = socketAddress(address)
	return out, err
}

// workload reads Istio's "name;namespace;canonical name;canonical revision;cluster".
func workload(s string) proxy.Peer {
	part := strings.Split(s, ";")
	if len(part) != 5 {
		return proxy.Peer{}
	}
	return proxy.Peer{
		Workload: part[0], Namespace: part[1], CanonicalService: part[2], CanonicalRevision: part[3], Cluster: part[4],
	}
}
