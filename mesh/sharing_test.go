package mesh_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// TestSharing: what two readings have in common is the same object, and nothing but that.
func TestSharing(t *testing.T) {
	policy := func(ns, mode string) string {
		return "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: " + ns + "}, spec: {mtls: {mode: " + mode + "}}}\n"
	}
	read := func(files ...string) *mesh.Snapshot {
		var list []manifest.File
		for i, f := range files {
			list = append(list, manifest.File{Name: string(rune('a' + i)), Data: []byte(f)})
		}
		snap, problems := manifest.Load(list, manifest.Options{})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return snap.WithRunning(running(t, snap))
	}
	first := read(shopYAML, policy("shop", "STRICT"), policy("other", "STRICT"))
	plain := read(shopYAML, policy("shop", "STRICT"), policy("other", "DISABLE"))
	next := plain.Sharing(first)
	if !reflect.DeepEqual(plain, next) {
		t.Errorf("another mesh:\n%+v\n%+v", plain, next)
	}
	if &next.Services[0] != &first.Services[0] || &next.Workloads[0] != &first.Workloads[0] || &next.Namespaces[0] != &first.Namespaces[0] {
		t.Error("what did not change is another list")
	}
	for i, p := range next.PeerAuthentications {
		if shared := slices.Contains(first.PeerAuthentications, p); shared != (p.Ref.Namespace == "shop") {
			t.Errorf("policy %d, %s: shared %v", i, p.Ref, shared)
		}
	}
	// A pod is another, so that services, which may name it, are others too.
	moved := read(shopYAML+"---\n{apiVersion: v1, kind: Pod, metadata: {name: more, namespace: shop}, spec: {containers: [{name: db, command: [db]}]}}\n", policy("shop", "STRICT"), policy("other", "STRICT"))
	if next := moved.Sharing(first); next.Services[0] == first.Services[0] || !reflect.DeepEqual(moved, next) {
		t.Error("services are shared without their workloads")
	}
	if first.Sharing(nil) != first {
		t.Error("nothing to share with gives another")
	}
}
