package local

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// What transparent capture agrees on with the sidecar. The ports are those of Istio's resources.
const (
	// CaptureMark is SO_MARK of the connections that a sidecar makes; redirection leaves them alone.
	CaptureMark = 1337
	// CaptureOutboundPort is where a sidecar accepts what its application calls.
	CaptureOutboundPort = 15001
	// CaptureInboundPort is where a sidecar accepts what others call.
	CaptureInboundPort = 15006
)

// inboundSource is the address from which a sidecar calls its own application, so that this is not redirected again.
const inboundSource = "127.0.0.6"

// FabricConfig is the network that the pods of one mesh share.
type FabricConfig struct {
	// Pods is the subnet of the pods, IPv4; default 10.244.0.0/16. Its first address is the engine's own.
	Pods netip.Prefix
	// Services is the subnet of service addresses, IPv4; default 10.96.0.0/12.
	Services netip.Prefix
	// Domain is the mesh's DNS domain; default cluster.local.
	Domain string
	// Dir is an existing folder for the files that pods see in place of /etc/resolv.conf and /etc/hosts.
	Dir string
	// Prober is an address within Pods besides, for what the engine calls as a prober; absent, there is none.
	Prober netip.Addr
	// Names is what pods look up; nil knows no name.
	Names *Names
	// Upstream are the DNS servers to ask for every other name, from outside; none answers NXDOMAIN.
	Upstream []netip.AddrPort
	// Outside makes the connections that leave the mesh; nil refuses them.
	Outside *Outside
	// Log is required.
	Log *slog.Logger
}

func (c FabricConfig) withDefaults() (FabricConfig, error) {
	if !c.Pods.IsValid() {
		c.Pods = netip.MustParsePrefix("10.244.0.0/16")
	}
	if !c.Services.IsValid() {
		c.Services = netip.MustParsePrefix("10.96.0.0/12")
	}
	if c.Domain == "" {
		c.Domain = "cluster.local"
	}
	if c.Names == nil {
		c.Names = &Names{}
	}
	c.Pods, c.Services = c.Pods.Masked(), c.Services.Masked()
	switch {
	case !c.Pods.Addr().Is4() || !c.Services.Addr().Is4():
		return c, fmt.Errorf("make fabric: subnets %s and %s: want IPv4", c.Pods, c.Services)
	case c.Pods.Overlaps(c.Services):
		return c, fmt.Errorf("make fabric: subnets %s and %s overlap", c.Pods, c.Services)
	case c.Dir == "":
		return c, fmt.Errorf("make fabric: no folder for the pods' files")
	}
	return c, nil
}

// PodNet is a pod of a fabric.
type PodNet struct {
	// Name and Namespace are the pod's; Name is its host name in /etc/hosts, Namespace leads its DNS search list.
	Name, Namespace string
	// IP is within FabricConfig.Pods, and no other pod's.
	IP netip.Addr
	// Prober is an address that the pod has besides, for what its sidecar calls as a prober; absent, there is none.
	Prober netip.Addr `json:",omitzero"`
	// Capture is what is redirected; the zero value is a pod without a sidecar.
	Capture Capture
}

// Capture says which TCP connections of a pod its sidecar gets. The application's calls to itself over loopback are never
// redirected, nor are calls to the engine's own address.
type Capture struct {
	// Outbound and Inbound turn redirection on, to CaptureOutboundPort and CaptureInboundPort.
	Outbound, Inbound bool
	// InboundPorts are the ports that are redirected; nil is all.
	InboundPorts []uint16
	// ExcludeInboundPorts are not redirected although InboundPorts is nil.
	ExcludeInboundPorts []uint16
	// OutboundPorts are redirected whatever the address; ExcludeOutboundPorts never are.
	OutboundPorts, ExcludeOutboundPorts []uint16
	// OutboundRanges are the destinations that are redirected; nil is all. ExcludeOutboundRanges never are.
	OutboundRanges, ExcludeOutboundRanges []netip.Prefix
}

// sidecarPorts are a sidecar's own: ambient tunnels, merged metrics, health, metrics. Istio leaves them out as well.
func sidecarPorts() []uint16 { return []uint16{15008, 15020, 15021, 15090} }

// Annotations of a pod that choose what is captured.
const (
	capturePrefix         = "traffic.sidecar.istio.io/"
	includeInboundPorts   = capturePrefix + "includeInboundPorts"
	excludeInboundPorts   = capturePrefix + "excludeInboundPorts"
	includeOutboundPorts  = capturePrefix + "includeOutboundPorts"
	excludeOutboundPorts  = capturePrefix + "excludeOutboundPorts"
	includeOutboundRanges = capturePrefix + "includeOutboundIPRanges"
	excludeOutboundRanges = capturePrefix + "excludeOutboundIPRanges"
)

// CaptureFromAnnotations reads what a pod's annotations (traffic.sidecar.istio.io/...) choose, as Istio's injector does:
//
//   - includeInboundPorts: "*" (the default) is every port; a list is these; "" is none.
//   - excludeInboundPorts counts only where every port is included. The sidecar's own ports are always left out.
//   - includeOutboundPorts adds to includeOutboundIPRanges, excludeOutboundPorts wins over both.
//   - includeOutboundIPRanges: "*" (the default) is every address, "" is none.
func CaptureFromAnnotations(annotations map[string]string) (Capture, error) {
	out := Capture{Outbound: true, Inbound: true}
	for _, a := range []struct {
		key  string
		into *[]uint16
	}{
		{includeInboundPorts, &out.InboundPorts}, {excludeInboundPorts, &out.ExcludeInboundPorts},
		{includeOutboundPorts, &out.OutboundPorts}, {excludeOutboundPorts, &out.ExcludeOutboundPorts},
	} {
		if err := readPorts(annotations, a.key, a.into); err != nil {
			return Capture{}, err
		}
	}
	for _, a := range []struct {
		key  string
		into *[]netip.Prefix
	}{{includeOutboundRanges, &out.OutboundRanges}, {excludeOutboundRanges, &out.ExcludeOutboundRanges}} {
		if err := readRanges(annotations, a.key, a.into); err != nil {
			return Capture{}, err
		}
	}
	if out.InboundPorts != nil && len(out.InboundPorts) == 0 {
		out.Inbound = false
	}
	if out.OutboundRanges != nil && len(out.OutboundRanges)+len(out.OutboundPorts) == 0 {
		out.Outbound = false
	}
	return out, nil
}

func readPorts(annotations map[string]string, key string, into *[]uint16) error {
	value, ok := annotations[key]
	if !ok || strings.TrimSpace(value) == "*" {
		return nil
	}
	*into = []uint16{}
	for _, word := range words(value) {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("read annotation %s: %q is no port", key, word)
		}
		*into = append(*into, uint16(port))
	}
	slices.Sort(*into)
	*into = slices.Compact(*into)
	return nil
}

// readRanges leaves IPv6 ranges out: a fabric has no IPv6.
func readRanges(annotations map[string]string, key string, into *[]netip.Prefix) error {
	value, ok := annotations[key]
	if !ok || strings.TrimSpace(value) == "*" {
		return nil
	}
	*into = []netip.Prefix{}
	for _, word := range words(value) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return fmt.Errorf("read annotation %s: %q is no IP range", key, word)
		}
		if p.Addr().Is4() {
			*into = append(*into, p.Masked())
		}
	}
	slices.SortFunc(*into, comparePrefixes)
	*into = slices.Compact(*into)
	return nil
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
