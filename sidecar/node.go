package sidecar

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/proxy"
)

// The defaults of a node.
const (
	defaultTrustDomain = "cluster.local"
	defaultCluster     = "Kubernetes"
)

// check finds what cannot work in a file.
func check(f *bootstrap.File) error {
	switch {
	case f.XDS == nil && f.Static == nil:
		return configError("read bootstrap: neither xds nor staticResources: there would be nothing to do")
	case f.XDS != nil && f.Static != nil:
		return configError("read bootstrap: both xds and staticResources: one of them")
	case f.XDS != nil && f.XDS.Address == "":
		return configError("read bootstrap: xds.address is missing")
	case f.XDS != nil && f.XDS.Plaintext && (f.XDS.MTLS || f.XDS.TokenFile != "" && !strings.HasPrefix(f.XDS.Address, "unix:")):
		return configError("read bootstrap: xds.plaintext would send a token or an identity without TLS")
	case f.XDS != nil && f.XDS.MTLS && f.Identity == nil:
		return configError("read bootstrap: xds.mtls needs an identity")
	case f.XDS != nil && f.Node.ID == "" && (f.Node.Pod == "" || f.Node.Namespace == "" || !f.Node.IP.IsValid()):
		return configError("read bootstrap: xds needs node.id, or node.pod, node.namespace and node.ip")
	case f.Drain < 0:
		return configError("read bootstrap: drain is negative")
	case f.Concurrency != nil && *f.Concurrency < 0:
		return configError("read bootstrap: concurrency is negative")
	}
	if err := checkIdentity(f.Identity); err != nil {
		return err
	}
	if err := checkCapture(f.Capture); err != nil {
		return err
	}
	return checkAdmin(f.Admin)
}

func checkIdentity(id *bootstrap.Identity) error {
	switch {
	case id == nil:
		return nil
	case (id.CSR == nil) == (id.Files == nil):
		return configError("read bootstrap: identity needs one of csr and files")
	case id.CSR != nil && (id.CSR.Address == "" || id.CSR.TokenFile == "" || id.CSR.RootsFile == ""):
		return configError("read bootstrap: identity.csr needs address, tokenFile and rootsFile")
	case id.Files != nil && (id.Files.Key == "" || id.Files.Chain == "" || id.Files.Roots == ""):
		return configError("read bootstrap: identity.files needs key, chain and roots")
	}
	return nil
}

func checkCapture(c bootstrap.Capture) error {
	for i, d := range c.Doors {
		switch {
		case !d.Listen.IsValid():
			return configError("read bootstrap: capture.doors[%d] has no listen", i)
		case d.HTTPProxy && d.Original.IsValid():
			return configError("read bootstrap: capture.doors[%d] is an HTTP proxy and has an original destination", i)
		case !d.HTTPProxy && !d.Original.IsValid():
			return configError("read bootstrap: capture.doors[%d] has no original", i)
		}
	}
	for i, p := range c.Uncounted {
		if !p.IsValid() {
			return configError("read bootstrap: capture.uncounted[%d] is empty", i)
		}
	}
	return nil
}

// maxSocketPath is what fits into a sockaddr_un everywhere.
const maxSocketPath = 103

func checkAdmin(a bootstrap.Admin) error {
	if len(a.Socket) > maxSocketPath {
		return configError("read bootstrap: admin.socket has %d bytes; a socket's path may have %d", len(a.Socket), maxSocketPath)
	}
	for _, path := range slices.Sorted(maps.Keys(a.Probes)) {
		p := a.Probes[path]
		kinds := 0
		for _, target := range []string{p.HTTP, p.TCP, p.GRPC} {
			if target != "" {
				kinds++
			}
		}
		if kinds != 1 || path == "" || path[0] != '/' {
			return configError("read bootstrap: admin.probes[%q] needs a path that begins with / and one of http, tcp and grpc", path)
		}
	}
	return nil
}

// nodeID is Envoy's node id.
func nodeID(f *bootstrap.File) string {
	n := f.Node
	kind := "sidecar"
	if n.Router {
		kind = "router"
	}
	return cmp.Or(n.ID, fmt.Sprintf("%s~%s~%s.%s~%s", kind, n.IP, n.Pod, n.Namespace, dnsDomain(n)))
}

func dnsDomain(n bootstrap.Node) string { return cmp.Or(n.DNSDomain, n.Namespace+".svc.cluster.local") }

// nodeCluster is Envoy's node.cluster.
func nodeCluster(n bootstrap.Node) string {
	return cmp.Or(n.Cluster, cmp.Or(n.Workload, n.Pod)+"."+n.Namespace)
}

// self is the workload as series and logs name it.
func self(f *bootstrap.File, principal string) proxy.Peer {
	n := f.Node
	workload := cmp.Or(n.Workload, n.Pod)
	app := n.Labels["app"]
	return proxy.Peer{
		Workload: workload, Namespace: n.Namespace, App: app, Version: n.Labels["version"],
		CanonicalService:  cmp.Or(n.Labels["service.istio.io/canonical-name"], n.Labels["app.kubernetes.io/name"], app, workload),
		CanonicalRevision: cmp.Or(n.Labels["service.istio.io/canonical-revision"], n.Labels["app.kubernetes.io/version"], n.Labels["version"], "latest"),
		Cluster:           cmp.Or(n.ClusterID, defaultCluster),
		Principal:         principal,
	}
}

// nodeMetadata is what Istio's agent tells of a proxy, as far as a control plane looks at it.
func nodeMetadata(f *bootstrap.File) map[string]any {
	n := f.Node
	labels := map[string]any{}
	for k, v := range n.Labels {
		labels[k] = v
	}
	m := map[string]any{
		"NAME": n.Pod, "NAMESPACE": n.Namespace, "WORKLOAD_NAME": cmp.Or(n.Workload, n.Pod),
		"SERVICE_ACCOUNT": cmp.Or(n.ServiceAccount, "default"), "LABELS": labels,
		"CLUSTER_ID": cmp.Or(n.ClusterID, defaultCluster), "MESH_ID": cmp.Or(n.MeshID, defaultTrustDomain),
		"INTERCEPTION_MODE": "REDIRECT",
	}
	if n.IP.IsValid() {
		m["INSTANCE_IPS"] = n.IP.String()
	}
	if n.Version != "" {
		m["ISTIO_VERSION"] = n.Version
	}
	maps.Copy(m, n.Metadata)
	return m
}

// capture translates one to the other; they differ so that a file's form does not change with the program.
func capture(c bootstrap.Capture) proxy.Capture {
	out := proxy.Capture{Transparent: c.Transparent, Application: c.Application, Source: c.Source, Mark: c.Mark,
		Uncounted: slices.Clone(c.Uncounted), Names: map[string]netip.Addr{}}
	maps.Copy(out.Names, c.Names)
	for _, d := range c.Doors {
		door := proxy.Door{Listen: d.Listen, Direction: proxy.Outbound, Original: d.Original, HTTPProxy: d.HTTPProxy}
		if d.Inbound {
			door.Direction = proxy.Inbound
		}
		out.Doors = append(out.Doors, door)
	}
	return out
}
