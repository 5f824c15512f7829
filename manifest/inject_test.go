package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// podText is a Pod "app" in a namespace with the given parts; a part that is empty is left out.
type podText struct {
	kind                string // default Pod
	namespace           string // default shop
	labels, annotations string // of the pod: "a: b, c: d"
	namespaceLabels     string // "-" for no Namespace object
	spec, meta          string // more lines of pod spec, metadata
}

func (p podText) String() string {
	ns := p.namespace
	if ns == "" {
		ns = "shop"
	}
	var b strings.Builder
	if p.namespaceLabels != "-" {
		fmt.Fprintf(&b, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n---\n", ns, p.namespaceLabels)
	}
	pod := fmt.Sprintf("metadata: {name: app, namespace: %s, labels: {%s}, annotations: {%s} %s}\nspec: {%s}\n", ns, p.labels, p.annotations, p.meta, p.spec)
	if p.kind == "Deployment" {
		fmt.Fprintf(&b, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app, namespace: %s %s}\nspec:\n  template:\n    %s", ns, p.meta,
			strings.Replace(strings.Replace(pod, "name: app, namespace: "+ns+", ", "", 1), "\n", "\n    ", 1))
		return b.String()
	}
	return b.String() + "apiVersion: v1\nkind: Pod\n" + pod
}

func TestInjection(t *testing.T) {
	const (
		enabled  = "istio-injection: enabled"
		disabled = "istio-injection: disabled"
		proxy    = "containers: [{name: app}, {name: istio-proxy}]"
		native   = "initContainers: [{name: istio-proxy, restartPolicy: Always}]"
	)
	for _, tc := range []struct {
		name    string
		pod     podText
		dialect mesh.Dialect
		capture mesh.Capture
		reason  string
		tlsMode string
	}{
		{name: "namespace enabled", pod: podText{namespaceLabels: enabled}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "istio"},
		{name: "template", pod: podText{kind: "Deployment", namespaceLabels: enabled}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "istio"},
		{name: "nothing said", pod: podText{}, reason: noLabel, tlsMode: "disabled"},
		{name: "an empty tlsMode label stays", pod: podText{namespaceLabels: enabled, labels: `security.istio.io/tlsMode: ""`}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: ""},
		{name: "namespace disabled", pod: podText{namespaceLabels: disabled}, reason: "namespace label istio-injection=disabled", tlsMode: "disabled"},
		{name: "namespace disabled, pod wants it", pod: podText{namespaceLabels: disabled, labels: `sidecar.istio.io/inject: "true"`}, reason: "namespace label istio-injection=disabled", tlsMode: "disabled"},
		{name: "namespace with a strange word", pod: podText{namespaceLabels: `istio-injection: "true"`}, reason: "namespace label istio-injection=true", tlsMode: "disabled"},
		{name: "pod label", pod: podText{labels: `sidecar.istio.io/inject: "true"`}, capture: mesh.CaptureSidecar, reason: "pod label sidecar.istio.io/inject=true", tlsMode: "istio"},
		{name: "pod label without a Namespace", pod: podText{namespaceLabels: "-", labels: `sidecar.istio.io/inject: "true"`}, capture: mesh.CaptureSidecar, reason: "pod label sidecar.istio.io/inject=true", tlsMode: "istio"},
		{name: "pod label false", pod: podText{namespaceLabels: enabled, labels: `sidecar.istio.io/inject: "false"`}, reason: "pod label sidecar.istio.io/inject=false", tlsMode: "disabled"},
		{name: "annotation false", pod: podText{namespaceLabels: enabled, annotations: `sidecar.istio.io/inject: "false"`}, reason: "pod annotation sidecar.istio.io/inject=false", tlsMode: "disabled"},
		{name: "annotation true is not enough", pod: podText{annotations: `sidecar.istio.io/inject: "true"`}, reason: noLabel, tlsMode: "disabled"},
		{name: "annotation true in an enabled namespace", pod: podText{namespaceLabels: enabled, annotations: `sidecar.istio.io/inject: "true"`}, capture: mesh.CaptureSidecar, reason: "pod annotation sidecar.istio.io/inject=true", tlsMode: "istio"},
		{name: "label before annotation", pod: podText{namespaceLabels: enabled, labels: `sidecar.istio.io/inject: "true"`, annotations: `sidecar.istio.io/inject: "false"`}, capture: mesh.CaptureSidecar, reason: "pod label sidecar.istio.io/inject=true", tlsMode: "istio"},
		{name: "label false before annotation", pod: podText{namespaceLabels: enabled, labels: `sidecar.istio.io/inject: "false"`, annotations: `sidecar.istio.io/inject: "true"`}, reason: "pod label sidecar.istio.io/inject=false", tlsMode: "disabled"},
		{name: "a word that nobody knows, now", pod: podText{namespaceLabels: enabled, annotations: `sidecar.istio.io/inject: "nope"`}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "istio"},
		{name: "a word that nobody knows, then", pod: podText{namespaceLabels: enabled, annotations: `sidecar.istio.io/inject: "nope"`}, dialect: mesh.Dialect13, reason: "pod annotation sidecar.istio.io/inject=nope", tlsMode: "disabled"},
		{name: "a word of old", pod: podText{namespaceLabels: enabled, annotations: `sidecar.istio.io/inject: "Yes"`}, dialect: mesh.Dialect13, capture: mesh.CaptureSidecar, reason: "pod annotation sidecar.istio.io/inject=Yes", tlsMode: "istio"},
		{name: "namespace revision", pod: podText{namespaceLabels: "istio.io/rev: canary"}, capture: mesh.CaptureSidecar, reason: "namespace label istio.io/rev=canary", tlsMode: "istio"},
		{name: "namespace revision, pod says no", pod: podText{namespaceLabels: "istio.io/rev: canary", labels: `sidecar.istio.io/inject: "false"`}, reason: "pod label sidecar.istio.io/inject=false", tlsMode: "disabled"},
		{name: "injection label before revision", pod: podText{namespaceLabels: disabled + ", istio.io/rev: canary"}, reason: "namespace label istio-injection=disabled", tlsMode: "disabled"},
		{name: "pod revision", pod: podText{labels: "istio.io/rev: canary"}, capture: mesh.CaptureSidecar, reason: "pod label istio.io/rev=canary", tlsMode: "istio"},
		{name: "pod revision, namespace disabled", pod: podText{namespaceLabels: disabled, labels: "istio.io/rev: canary"}, reason: "namespace label istio-injection=disabled", tlsMode: "disabled"},
		{name: "pod revision and annotation false", pod: podText{labels: "istio.io/rev: canary", annotations: `sidecar.istio.io/inject: "false"`}, reason: "pod annotation sidecar.istio.io/inject=false", tlsMode: "disabled"},
		{name: "host network", pod: podText{namespaceLabels: enabled, spec: "hostNetwork: true"}, reason: "hostNetwork", tlsMode: "disabled"},
		{name: "system namespace", pod: podText{namespace: "kube-system", namespaceLabels: enabled}, reason: "namespace kube-system is never injected", tlsMode: "disabled"},
		{name: "container", pod: podText{namespaceLabels: disabled, spec: proxy}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "disabled"},
		{name: "container with label", pod: podText{spec: proxy, labels: "security.istio.io/tlsMode: istio"}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "istio"},
		{name: "container to be filled", pod: podText{spec: "containers: [{name: istio-proxy, image: auto}]", namespaceLabels: enabled}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "istio"},
		{name: "gateway to be filled", pod: podText{spec: "containers: [{name: istio-proxy, image: auto}]", annotations: "inject.istio.io/templates: gateway"}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "disabled"},
		{name: "container on the host network", pod: podText{spec: "hostNetwork: true, " + proxy}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "disabled"},
		{name: "native sidecar", pod: podText{spec: native}, capture: mesh.CaptureSidecar, reason: "native sidecar istio-proxy", tlsMode: "disabled"},
		{name: "init container that ends", pod: podText{spec: "initContainers: [{name: istio-proxy}]"}, reason: noLabel, tlsMode: "disabled"},
		{name: "other tlsMode", pod: podText{namespaceLabels: enabled, labels: "security.istio.io/tlsMode: disabled"}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "disabled"},
		{name: "tlsMode in other letters", pod: podText{namespaceLabels: enabled, labels: "security.istio.io/tlsMode: Istio"}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "Istio"},
		{name: "tlsMode without sidecar", pod: podText{labels: "security.istio.io/tlsMode: istio"}, reason: noLabel, tlsMode: "istio"},
		{name: "running without sidecar", pod: podText{namespaceLabels: enabled, meta: ", uid: abc"}, reason: "no container istio-proxy in the running pod", tlsMode: "disabled"},
		{name: "stored template", pod: podText{kind: "Deployment", namespaceLabels: enabled, meta: ", uid: abc"}, capture: mesh.CaptureSidecar, reason: "namespace label istio-injection=enabled", tlsMode: "istio"},
		{name: "ambient namespace", pod: podText{namespaceLabels: "istio.io/dataplane-mode: ambient"}, capture: mesh.CaptureAmbient, reason: "namespace label istio.io/dataplane-mode=ambient", tlsMode: "disabled"},
		{name: "ambient pod", pod: podText{labels: "istio.io/dataplane-mode: ambient"}, capture: mesh.CaptureAmbient, reason: "pod label istio.io/dataplane-mode=ambient", tlsMode: "disabled"},
		{name: "pod opts out of ambient", pod: podText{namespaceLabels: "istio.io/dataplane-mode: ambient", labels: "istio.io/dataplane-mode: none"}, reason: noLabel, tlsMode: "disabled"},
		{name: "sidecar in an ambient namespace", pod: podText{namespaceLabels: "istio.io/dataplane-mode: ambient", spec: proxy}, capture: mesh.CaptureSidecar, reason: "container istio-proxy", tlsMode: "disabled"},
		{name: "host network in an ambient namespace", pod: podText{namespaceLabels: "istio.io/dataplane-mode: ambient", spec: "hostNetwork: true"}, reason: "hostNetwork", tlsMode: "disabled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			snap, problems := loadText(tc.pod.String(), Options{Dialect: tc.dialect})
			if problems != "" || len(snap.Workloads) != 1 {
				t.Fatalf("%d workloads, problems:\n%s\n%s", len(snap.Workloads), problems, tc.pod)
			}
			w := snap.Workloads[0]
			if w.Capture != tc.capture || w.CaptureReason != tc.reason || w.TLSMode != tc.tlsMode {
				t.Errorf("got %s, %q, tlsMode %s\nwant %s, %q, tlsMode %s", w.Capture, w.CaptureReason, w.TLSMode, tc.capture, tc.reason, tc.tlsMode)
			}
		})
	}
}

func TestEntryCapture(t *testing.T) {
	for _, tc := range []struct {
		entry, tlsMode, reason string
		capture                mesh.Capture
	}{
		{"{address: 1.2.3.4}", "disabled", "neither serviceAccount nor label security.istio.io/tlsMode", mesh.CaptureNone},
		{"{address: 1.2.3.4, serviceAccount: vm}", "istio", "serviceAccount vm", mesh.CaptureSidecar},
		{"{address: 1.2.3.4, serviceAccount: vm, labels: {security.istio.io/tlsMode: disabled}}", "disabled", "label security.istio.io/tlsMode=disabled", mesh.CaptureNone},
		{"{address: 1.2.3.4, labels: {security.istio.io/tlsMode: istio}}", "istio", "label security.istio.io/tlsMode=istio", mesh.CaptureSidecar},
	} {
		text := "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm}\nspec: " + tc.entry + "\n---\n" +
			"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: vms}\nspec: {hosts: [vm.example.com], endpoints: [" + tc.entry + "]}\n"
		snap, problems := loadText(text, Options{})
		if problems != "" {
			t.Fatal(problems)
		}
		for _, w := range []*mesh.Workload{snap.Workloads[0], snap.Services[0].Inline[0]} {
			if w.TLSMode != tc.tlsMode || w.CaptureReason != tc.reason || w.Capture != tc.capture {
				t.Errorf("%s %s: got %s, %q, %s", w.Ref, tc.entry, w.TLSMode, w.CaptureReason, w.Capture)
			}
		}
	}
}

// TestMissingNamespace: one warning for each namespace whose labels would have decided, none where they could not.
func TestMissingNamespace(t *testing.T) {
	pod := func(ns, name, more string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\nspec: {%s}\n", name, ns, more)
	}
	_, got := loadText(pod("shop", "a", "")+pod("shop", "b", "")+pod("host", "c", "hostNetwork: true")+
		pod("done", "d", "containers: [{name: istio-proxy}]")+pod("bank", "e", ""), Options{})
	const want = `warning f.yaml:2:1: read Namespace shop: it is not here, so its workloads count as not injected
  add the Namespace with its labels, or label the pods sidecar.istio.io/inject: "true"
warning f.yaml:22:1: read Namespace bank: it is not here, so its workloads count as not injected
  add the Namespace with its labels, or label the pods sidecar.istio.io/inject: "true"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
