package manifest

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// The names that injection turns on.
const (
	injectKey    = "sidecar.istio.io/inject"
	templatesKey = "inject.istio.io/templates"
	tlsModeKey   = "security.istio.io/tlsMode"
	proxyName    = "istio-proxy"

	gatewayNameKey = "gateway.networking.k8s.io/gateway-name"
)

// workloadFacts is a workload with what the rest of the mesh is needed for to judge: its owner and its sidecar.
type workloadFacts struct {
	*mesh.Workload
	controller mesh.Ref // the ownerReference that controls it; zero where it has none
	inject     string   // annotation sidecar.istio.io/inject
	injectSet  bool
	proxy      string // the istio-proxy that is there already: "container istio-proxy"; "" where there is none
	autoProxy  bool   // it is a mere place for the injector to fill
	live       bool   // taken from a cluster: injection has happened or it has not
	finished   bool   // its containers have ended
	alone      bool   // it has no container but the proxy
}

// workload reads a Pod, or the pod template of a controller.
func (c *checker) workload(o mesh.Object, v *value) any {
	meta := v.get("metadata")
	f := &workloadFacts{Workload: &mesh.Workload{Object: o, Replicas: 1}, controller: controllerOf(o.Ref, meta),
		live: meta.get("uid") != nil}
	spec := v.get("spec")
	podMeta, podSpec := meta, spec
	if o.Ref.Kind != mesh.KindPod {
		owner := spec
		if o.Ref.Kind == mesh.KindCronJob {
			spec = spec.at("jobTemplate", "spec")
		}
		template := spec.get("template")
		podMeta, podSpec = template.get("metadata"), template.get("spec")
		f.Replicas = int(max(0, owner.number("replicas", spec.number("parallelism", 1))))
		f.live = false
		f.templateAnnotations(podMeta)
	} else {
		f.podStatus(v.get("status"))
	}
	f.Labels = podMeta.labels("labels")
	f.HostNetwork = podSpec.flag("hostNetwork")
	f.ServiceAccount = podSpec.str("serviceAccountName")
	if f.ServiceAccount == "" {
		f.ServiceAccount = podSpec.str("serviceAccount") // the name of old
	}
	if f.ServiceAccount == "" {
		f.ServiceAccount = "default"
	}
	if a := podMeta.get("annotations").get(injectKey); a != nil {
		f.inject, f.injectSet = a.text, true
	}
	c.containers(f, podSpec, podMeta)
	c.podRuns(f.Workload, podSpec)
	c.sidecarFiles(f.Workload, podMeta)
	f.alone = f.proxy != "" && len(podSpec.list("containers")) == 1
	f.Router = f.Router || f.gatewayTemplate(podMeta)
	c.portCapture(f.Workload, podMeta)
	c.proxyAnnotation(f.Workload, podMeta)
	if podMeta != meta {
		c.calls(f.Workload, meta, nil)
	}
	c.calls(f.Workload, podMeta, podSpec)
	return f
}

// templateAnnotations adds the annotations of the pod template, which win over those of the controller.
func (f *workloadFacts) templateAnnotations(meta *value) {
	kept := keptAnnotations(meta)
	if f.Annotations != nil && kept != nil {
		maps.Copy(f.Annotations, kept)
	} else if kept != nil {
		f.Annotations = kept
	}
}

func (f *workloadFacts) podStatus(status *value) {
	if ip := status.str("podIP"); ip != "" {
		f.Addresses = append(f.Addresses, ip)
	}
	for _, e := range status.list("podIPs") {
		if ip := e.str("ip"); ip != "" && (len(f.Addresses) == 0 || f.Addresses[0] != ip) {
			f.Addresses = append(f.Addresses, ip)
		}
	}
	phase := status.str("phase")
	f.finished = phase == "Succeeded" || phase == "Failed"
}

// controllerOf gives the owner with `controller: true`.
func controllerOf(r mesh.Ref, meta *value) mesh.Ref {
	for _, e := range meta.list("ownerReferences") {
		if e.flag("controller") {
			return mesh.Ref{Kind: mesh.Kind(e.str("kind")), Namespace: r.Namespace, Name: e.str("name")}
		}
	}
	return mesh.Ref{}
}

// containers reads ports and looks for a sidecar that is there already. A native sidecar is an init container that is
// always restarted; it may declare ports, other init containers are gone before anybody calls.
func (c *checker) containers(f *workloadFacts, spec, meta *value) {
	for _, e := range spec.list("initContainers") {
		if e.str("restartPolicy") != "Always" {
			continue
		}
		if e.str("name") == proxyName {
			f.sidecar("native sidecar "+proxyName, e, meta)
			continue
		}
		c.containerPorts(f.Workload, e)
	}
	for _, e := range spec.list("containers") {
		if e.str("name") == proxyName {
			f.sidecar("container "+proxyName, e, meta)
		}
		c.containerPorts(f.Workload, e)
	}
}

// gatewayTemplate says whether the injector is asked for a gateway, or the pod belongs to one of the Gateway API.
func (f *workloadFacts) gatewayTemplate(meta *value) bool {
	templates := strings.FieldsFunc(meta.get("annotations").str(templatesKey), isSeparator)
	return slices.Contains(templates, "gateway") || f.Labels[gatewayNameKey] != ""
}

func (f *workloadFacts) sidecar(what string, container, meta *value) {
	f.proxy = what
	f.Router = f.Router || slices.Contains(container.strs("args"), "router")
	f.autoProxy = container.str("image") == "auto" && meta.get("annotations").get(templatesKey) == nil
}

func (c *checker) containerPorts(w *mesh.Workload, container *value) {
	for i, p := range container.list("ports") {
		n := c.port(p.get("containerPort"), "ports[%d].containerPort of container %s", i, container.str("name"))
		if n != 0 {
			w.Ports = append(w.Ports, mesh.ContainerPort{Name: p.str("name"), Number: n, Protocol: p.str("protocol")})
		}
	}
}

// portCapture reads the traffic.sidecar.istio.io annotations.
//
// includeOutboundPorts adds ports to includeOutboundIPRanges, which is every address by default: it narrows nothing
// unless that annotation is there and empty.
func (c *checker) portCapture(w *mesh.Workload, meta *value) {
	all := meta.get("annotations")
	if all == nil {
		return
	}
	w.Inbound.Include = c.portList(all, "includeInboundPorts")
	w.Inbound.Exclude = c.portList(all, "excludeInboundPorts")
	w.Outbound.Exclude = c.portList(all, "excludeOutboundPorts")
	if ranges := all.get(trafficAnnotation + "includeOutboundIPRanges"); ranges != nil && ranges.text == "" {
		w.Outbound.Include = c.portList(all, "includeOutboundPorts")
		if w.Outbound.Include == nil && all.str(trafficAnnotation+"includeOutboundPorts") != "*" {
			w.Outbound.Include = []uint32{}
		}
	}
}

// portList reads one annotation. "*" and a missing one give nil, an empty one a list without ports.
func (c *checker) portList(annotations *value, name string) []uint32 {
	v := annotations.get(trafficAnnotation + name)
	if v == nil || strings.TrimSpace(v.text) == "*" {
		return nil
	}
	out := []uint32{}
	for _, p := range strings.FieldsFunc(v.text, isSeparator) {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			c.warn(v, "write port numbers with commas between them", "annotation %s: %q is no port and is ignored", trafficAnnotation+name, shorten(p))
			continue
		}
		out = append(out, uint32(n))
	}
	return out
}
