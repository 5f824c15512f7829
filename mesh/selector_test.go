package mesh_test

import (
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

func TestSelects(t *testing.T) {
	type labels = map[string]string
	for _, c := range []struct {
		selector, labels labels
		want             bool
	}{
		{nil, nil, true},
		{nil, labels{"app": "web"}, true},
		{labels{"app": "web"}, labels{"app": "web", "version": "v1"}, true},
		{labels{"app": "web"}, labels{"app": "api"}, false},
		{labels{"app": "web"}, nil, false},
		{labels{"app": ""}, labels{"version": "v1"}, false},
		{labels{"app": ""}, labels{"app": ""}, true},
	} {
		if got := mesh.Selects(c.selector, c.labels); got != c.want {
			t.Errorf("%v selects %v: %v, want %v", c.selector, c.labels, got, c.want)
		}
	}
}

// TestLegacyTargets: a target without ports covers all of them; a selector that is zero covers none.
func TestLegacyTargets(t *testing.T) {
	http := &mesh.Port{Name: "http", Number: 80}
	for _, c := range []struct {
		ports []mesh.PolicyPort
		want  bool
	}{
		{nil, true},
		{[]mesh.PolicyPort{{Number: 80}}, true},
		{[]mesh.PolicyPort{{Name: "http"}}, true},
		{[]mesh.PolicyPort{{Number: 81}, {Name: "https"}}, false},
		{[]mesh.PolicyPort{{}}, false},
	} {
		if got := (&mesh.PolicyTarget{Ports: c.ports}).CoversPort(http); got != c.want {
			t.Errorf("a target of %v covers port 80: %v, want %v", c.ports, got, c.want)
		}
	}
	if (mesh.PolicyPort{}).Selects(&mesh.Port{}) {
		t.Error("a selector that says nothing selects a port without name and number")
	}
}

// TestLegacyMode: the first mTLS element decides; without one there is no mTLS.
func TestLegacyMode(t *testing.T) {
	jwt, permissive, strict := mesh.PolicyPeer{}, mesh.PolicyPeer{MTLS: true, Mode: mesh.ModePermissive}, mesh.PolicyPeer{MTLS: true, Mode: mesh.ModeStrict}
	for _, c := range []struct {
		policy *mesh.Policy
		want   mesh.Mode
	}{
		{nil, mesh.ModeDisable},
		{&mesh.Policy{}, mesh.ModeDisable},
		{&mesh.Policy{Peers: []mesh.PolicyPeer{jwt}}, mesh.ModeDisable},
		{&mesh.Policy{Peers: []mesh.PolicyPeer{jwt, permissive, strict}}, mesh.ModePermissive},
	} {
		if got := c.policy.Mode(); got != c.want {
			t.Errorf("%+v wants %s, not %s", c.policy, got, c.want)
		}
	}
}
