package manifest

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// The labels of namespaces and pods that injection and ambient mode turn on.
const (
	injectionLabel = "istio-injection"
	revisionLabel  = "istio.io/rev"
	dataplaneLabel = "istio.io/dataplane-mode"
)

// capture predicts what will stand between a pod and the network. The first of these that says anything decides:
//
//   - an istio-proxy container that is there, also among the init containers that are always restarted
//   - a pod on the host's network, or in a namespace of Kubernetes' own, is never injected
//   - a pod that was taken from a cluster without an istio-proxy has not been injected
//   - the webhook must select the pod: the namespace's istio-injection (enabled selects, anything else does not), else
//     its istio.io/rev, else the pod's sidecar.istio.io/inject=true or istio.io/rev; the label false always deselects
//   - the injector must not be told otherwise: the pod's label sidecar.istio.io/inject, else the annotation
//   - istio.io/dataplane-mode of the pod, else of the namespace
//
// It gives whether anything said so, in other words: whether a Namespace object could change the answer.
func (f *workloadFacts) capture(ns *mesh.Namespace, d mesh.Dialect) (decided bool) {
	inject, reason := f.injected(ns, d)
	f.Capture, f.CaptureReason = mesh.CaptureNone, reason
	if inject {
		f.Capture = mesh.CaptureSidecar
	} else if ambient := f.ambient(ns); ambient != "" {
		f.Capture, f.CaptureReason = mesh.CaptureAmbient, ambient
	}
	label, labelled := f.Labels[tlsModeKey]
	f.TLSMode = label
	switch {
	case labelled: // verbatim, also when it is empty
	case inject && !f.Router && (f.proxy == "" || f.autoProxy):
		f.TLSMode = mesh.TLSModeIstio // the injector adds the label, to sidecars alone
	default:
		f.TLSMode = "disabled"
	}
	return f.CaptureReason != noLabel
}

// describeNamespace says what a pod gets in a namespace that says nothing itself.
func describeNamespace(ns *mesh.Namespace, d mesh.Dialect) {
	silent := workloadFacts{Workload: &mesh.Workload{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindPod, Namespace: ns.Ref.Name}}}}
	silent.capture(ns, d)
	ns.Capture, ns.CaptureReason = silent.Capture, silent.CaptureReason
}

// noLabel is the reason where nothing speaks for a sidecar.
const noLabel = "no injection label on pod or namespace"

// injected says whether the pod has a sidecar, or gets one, and why.
func (f *workloadFacts) injected(ns *mesh.Namespace, d mesh.Dialect) (bool, string) {
	switch {
	case f.proxy != "":
		return true, f.proxy
	case f.HostNetwork:
		return false, "hostNetwork"
	case neverInjected(f.Ref.Namespace):
		return false, "namespace " + f.Ref.Namespace + " is never injected"
	case f.live:
		return false, "no container " + proxyName + " in the running pod"
	}
	selected, reason := f.selected(ns)
	if !selected {
		return false, reason
	}
	word, said := f.Labels[injectKey]
	source := "pod label "
	if !said {
		word, said = f.inject, f.injectSet
		source = "pod annotation "
	}
	if said {
		if refusesInjection(word, d) {
			return false, source + injectKey + "=" + word
		}
		if injects(word, d) {
			return true, source + injectKey + "=" + word
		}
	}
	return true, reason
}

// selected says whether the webhook looks at the pod at all.
func (f *workloadFacts) selected(ns *mesh.Namespace) (bool, string) {
	var labels map[string]string
	if ns != nil {
		labels = ns.Labels
	}
	own, hasOwn := f.Labels[injectKey]
	injection, hasInjection := labels[injectionLabel]
	revision, hasRevision := labels[revisionLabel]
	podRevision, hasPodRevision := f.Labels[revisionLabel]
	switch {
	case hasInjection && injection != "enabled":
		return false, "namespace label " + injectionLabel + "=" + injection
	case own == "false":
		return false, "pod label " + injectKey + "=false"
	case hasInjection:
		return true, "namespace label " + injectionLabel + "=enabled"
	case hasRevision:
		return true, "namespace label " + revisionLabel + "=" + revision
	case hasPodRevision:
		return true, "pod label " + revisionLabel + "=" + podRevision
	case hasOwn && own == "true":
		return true, "pod label " + injectKey + "=true"
	case f.injectSet && f.inject == "false":
		return false, "pod annotation " + injectKey + "=false"
	}
	return false, noLabel
}

// injects and refusesInjection read sidecar.istio.io/inject. The injector of 1.1 to 1.4 knew more words and took any other
// as a no; today's takes any other as nothing said.
func injects(word string, d mesh.Dialect) bool {
	if !d.Legacy() {
		return word == "true"
	}
	switch strings.ToLower(word) {
	case "y", "yes", "true", "on":
		return true
	}
	return false
}

func refusesInjection(word string, d mesh.Dialect) bool {
	if !d.Legacy() {
		return word == "false"
	}
	return word != "" && !injects(word, d)
}

// neverInjected are the namespaces of Kubernetes itself.
func neverInjected(namespace string) bool {
	switch namespace {
	case "kube-system", "kube-public", "kube-node-lease", "local-path-storage":
		return true
	}
	return false
}

// ambient gives the reason why ztunnel captures a pod without a sidecar, or "".
func (f *workloadFacts) ambient(ns *mesh.Namespace) string {
	if f.HostNetwork || neverInjected(f.Ref.Namespace) {
		return ""
	}
	switch mode := f.Labels[dataplaneLabel]; {
	case mode == "ambient":
		return "pod label " + dataplaneLabel + "=ambient"
	case mode == "none":
		return ""
	case ns != nil && ns.Labels[dataplaneLabel] == "ambient":
		return "namespace label " + dataplaneLabel + "=ambient"
	}
	return ""
}

// entryCapture decides for an endpoint that is no pod: a label, else a service account, says that a sidecar is there
// (semantics M31).
func entryCapture(w *mesh.Workload) {
	label, labelled := w.Labels[tlsModeKey]
	w.TLSMode = "disabled"
	switch {
	case labelled:
		w.TLSMode = label
		w.CaptureReason = "label " + tlsModeKey + "=" + label
	case w.ServiceAccount != "":
		w.TLSMode, w.CaptureReason = mesh.TLSModeIstio, "serviceAccount "+w.ServiceAccount
	default:
		w.CaptureReason = "neither serviceAccount nor label " + tlsModeKey
	}
	w.Capture = mesh.CaptureNone
	if w.TLSMode == mesh.TLSModeIstio {
		w.Capture = mesh.CaptureSidecar
	}
}
