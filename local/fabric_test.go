package local

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestCaptureFromAnnotations(t *testing.T) {
	ranges := func(list ...string) []netip.Prefix {
		out := []netip.Prefix{}
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	for _, c := range []struct {
		name        string
		annotations map[string]string
		want        Capture
	}{
		{"nothing said", nil, Capture{Outbound: true, Inbound: true}},
		{"everything", map[string]string{includeInboundPorts: "*", includeOutboundRanges: " * "}, Capture{Outbound: true, Inbound: true}},
		{"no inbound port", map[string]string{includeInboundPorts: ""}, Capture{Outbound: true, InboundPorts: []uint16{}}},
		{"inbound ports, twice and out of order", map[string]string{includeInboundPorts: "8080, 80,8080"},
			Capture{Outbound: true, Inbound: true, InboundPorts: []uint16{80, 8080}}},
		{"no outbound", map[string]string{includeOutboundRanges: ""}, Capture{Inbound: true, OutboundRanges: ranges()}},
		{"outbound by port alone", map[string]string{includeOutboundRanges: "", includeOutboundPorts: "443"},
			Capture{Outbound: true, Inbound: true, OutboundRanges: ranges(), OutboundPorts: []uint16{443}}},
		{"exceptions", map[string]string{excludeInboundPorts: "22", excludeOutboundPorts: "3306,53", excludeOutboundRanges: "10.1.2.3/8"},
			Capture{Outbound: true, Inbound: true, ExcludeInboundPorts: []uint16{22}, ExcludeOutboundPorts: []uint16{53, 3306},
				ExcludeOutboundRanges: ranges("10.0.0.0/8")}},
		{"IPv6 is left out", map[string]string{includeOutboundRanges: "fd00::/8,10.0.0.0/8"},
			Capture{Outbound: true, Inbound: true, OutboundRanges: ranges("10.0.0.0/8")}},
	} {
		got, err := CaptureFromAnnotations(c.annotations)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestCaptureFromAnnotationsRefuses(t *testing.T) {
	for key, value := range map[string]string{
		includeInboundPorts: "http", excludeInboundPorts: "0", includeOutboundPorts: "65536", excludeOutboundPorts: "80;81",
		includeOutboundRanges: "10.0.0.0", excludeOutboundRanges: "everything",
	} {
		if _, err := CaptureFromAnnotations(map[string]string{key: value}); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %q: got %v, want an error that names the annotation", key, value, err)
		}
	}
}

func TestFabricConfigRefuses(t *testing.T) {
	for name, c := range map[string]FabricConfig{
		"IPv6":      {Dir: "x", Pods: netip.MustParsePrefix("fd00::/64")},
		"overlap":   {Dir: "x", Pods: netip.MustParsePrefix("10.96.0.0/16")},
		"no folder": {},
	} {
		if _, err := c.withDefaults(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c, err := FabricConfig{Dir: "x", Pods: netip.MustParsePrefix("10.9.8.7/16")}.withDefaults()
	if err != nil || c.Pods.String() != "10.9.0.0/16" || c.Services.String() != "10.96.0.0/12" || c.Domain != "cluster.local" {
		t.Errorf("got %+v, %v", c, err)
	}
}
