package mesh

import "reflect"

// Sharing gives the same mesh with the objects of last in place of those that are the same in all they have, their Origin
// included, and the list of last where all of a list are. Whoever compares pointers then sees what changed between two
// readings. Services and Workloads, which name each other, are taken over both or not at all. A nil last gives s itself.
func (s *Snapshot) Sharing(last *Snapshot) *Snapshot {
	if last == nil {
		return s
	}
	out := *s
	out.Namespaces = share(last.Namespaces, s.Namespaces, func(o *Namespace) Ref { return o.Ref })
	out.PeerAuthentications = share(last.PeerAuthentications, s.PeerAuthentications, func(o *PeerAuthentication) Ref { return o.Ref })
	out.Policies = share(last.Policies, s.Policies, func(o *Policy) Ref { return o.Ref })
	out.DestinationRules = share(last.DestinationRules, s.DestinationRules, func(o *DestinationRule) Ref { return o.Ref })
	out.Sidecars = share(last.Sidecars, s.Sidecars, func(o *Sidecar) Ref { return o.Ref })
	out.VirtualServices = share(last.VirtualServices, s.VirtualServices, func(o *VirtualService) Ref { return o.Ref })
	out.Gateways = share(last.Gateways, s.Gateways, func(o *Gateway) Ref { return o.Ref })
	out.ProxyConfigs = share(last.ProxyConfigs, s.ProxyConfigs, func(o *ProxyConfig) Ref { return o.Ref })
	if reflect.DeepEqual(last.Services, s.Services) && reflect.DeepEqual(last.Workloads, s.Workloads) {
		out.Services, out.Workloads = last.Services, last.Workloads
	}
	return &out
}

// share gives the second list with objects of the first; the first itself where all are of it.
func share[T any](last, now []*T, ref func(*T) Ref) []*T {
	known := make(map[Ref]*T, len(last))
	for _, o := range last {
		known[ref(o)] = o
	}
	out, all := make([]*T, len(now)), len(last) == len(now)
	for i, o := range now {
		if k := known[ref(o)]; k != nil && reflect.DeepEqual(k, o) {
			o = k
		}
		out[i] = o
		all = all && last[i] == o
	}
	if all {
		return last
	}
	return out
}
