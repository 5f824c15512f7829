package manifest

import (
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// podRuns reads what a pod runs: containers, volumes, and when it starts again and ends.
func (c *checker) podRuns(w *mesh.Workload, spec *value) {
	for _, e := range spec.list("initContainers") {
		w.InitContainers = append(w.InitContainers, c.container(e))
	}
	for _, e := range spec.list("containers") {
		w.Containers = append(w.Containers, c.container(e))
	}
	for _, e := range spec.list("volumes") {
		w.Volumes = append(w.Volumes, c.volume(e))
	}
	if w.RestartPolicy = spec.str("restartPolicy"); w.RestartPolicy == "" {
		w.RestartPolicy = "Always"
	}
	w.TerminationGrace = seconds(spec, "terminationGracePeriodSeconds", 30)
}

// The annotations that give files to the sidecar, each a JSON list.
const (
	userVolumeKey = "sidecar.istio.io/userVolume"
	userMountKey  = "sidecar.istio.io/userVolumeMount"
)

// sidecarFiles reads which files the sidecar gets.
func (c *checker) sidecarFiles(w *mesh.Workload, meta *value) {
	for _, e := range c.annotationList(meta, userVolumeKey) {
		w.SidecarVolumes = append(w.SidecarVolumes, c.volume(e))
	}
	for _, e := range c.annotationList(meta, userMountKey) {
		w.SidecarMounts = append(w.SidecarMounts, c.mount(e))
	}
}

// annotationList reads the JSON list of mappings in an annotation; what is none is reported and counts as missing.
func (c *checker) annotationList(meta *value, key string) []*value {
	text := meta.get("annotations").get(key)
	if text == nil || text.kind != textValue || text.text == "" {
		return nil
	}
	v, err := parseChunk(c.innerChunk(text))
	if err != nil || v == nil || v.kind != listValue || slices.ContainsFunc(v.items, func(e *value) bool { return e.kind != mapValue }) {
		c.warn(text, "write it like '[{\"name\": \"certs\", ...}]'", "annotation %s: this is no JSON list and is ignored", key)
		return nil
	}
	return v.items
}

// maxSeconds keeps what is written in seconds within a Duration.
const maxSeconds = 1 << 32

func seconds(v *value, key string, def int64) time.Duration {
	return time.Duration(min(max(0, v.number(key, def)), maxSeconds)) * time.Second
}

// number32 gives a number that fits, def where it is missing, negative or too large.
func (v *value) number32(key string, def uint32) uint32 {
	n := v.number(key, int64(def))
	if n < 0 || n > 1<<31-1 {
		return def
	}
	return uint32(n)
}

func (c *checker) here(v *value) mesh.Origin { return c.origin(v.line, v.col) }

func (c *checker) container(v *value) mesh.Container {
	out := mesh.Container{Name: v.str("name"), Image: v.str("image"), Command: v.strs("command"), Args: v.strs("args"),
		WorkingDir: v.str("workingDir"), RestartPolicy: v.str("restartPolicy"), Origin: c.here(v)}
	for _, e := range v.list("env") {
		if name := e.str("name"); name != "" {
			out.Env = append(out.Env, mesh.EnvVar{Name: name, Value: e.str("value"), From: envSource(e.get("valueFrom")), Origin: c.here(e)})
		}
	}
	for _, e := range v.list("envFrom") {
		from := mesh.EnvFrom{Prefix: e.str("prefix"), ConfigMap: e.get("configMapRef").str("name"),
			Secret: e.get("secretRef").str("name"), Origin: c.here(e)}
		from.Optional = e.get("configMapRef").flag("optional") || e.get("secretRef").flag("optional")
		out.EnvFrom = append(out.EnvFrom, from)
	}
	for _, e := range v.list("ports") {
		if n := e.number("containerPort", 0); n > 0 && n <= 65535 {
			out.Ports = append(out.Ports, mesh.ContainerPort{Name: e.str("name"), Number: uint32(n), Protocol: e.str("protocol")})
		}
	}
	for _, e := range v.list("volumeMounts") {
		out.Mounts = append(out.Mounts, c.mount(e))
	}
	p := probeReader{c, &out}
	out.Readiness, out.Liveness, out.Startup = p.read(v, "readinessProbe"), p.read(v, "livenessProbe"), p.read(v, "startupProbe")
	return out
}

func (c *checker) mount(v *value) mesh.Mount {
	return mesh.Mount{Volume: v.str("name"), Path: v.str("mountPath"), SubPath: v.str("subPath"), ReadOnly: v.flag("readOnly"), Origin: c.here(v)}
}

func envSource(v *value) *mesh.EnvSource {
	if v == nil || v.kind != mapValue {
		return nil
	}
	out := &mesh.EnvSource{FieldPath: v.get("fieldRef").str("fieldPath"), ConfigMapKey: keyRef(v.get("configMapKeyRef")),
		SecretKey: keyRef(v.get("secretKeyRef"))}
	out.Unsupported = otherField(v, []string{"fieldRef", "configMapKeyRef", "secretKeyRef"})
	return out
}

// otherField gives the first field that is set and not among the known ones.
func otherField(v *value, known []string) string {
	for _, f := range v.fields {
		if f.val.kind != nullValue && !slices.Contains(known, f.key) {
			return f.key
		}
	}
	return ""
}

func keyRef(v *value) *mesh.KeyRef {
	if v == nil {
		return nil
	}
	return &mesh.KeyRef{Name: v.str("name"), Key: v.str("key"), Optional: v.flag("optional")}
}

func (c *checker) volume(v *value) mesh.Volume {
	out := mesh.Volume{Name: v.str("name"), ConfigMap: volumeFiles(v.get("configMap"), "name"),
		Secret: volumeFiles(v.get("secret"), "secretName"), Origin: c.here(v)}
	if empty := v.find("emptyDir"); empty != nil && out.ConfigMap == nil && out.Secret == nil {
		out.EmptyDir = true
		return out
	}
	out.Unsupported = otherField(v, []string{"name", "configMap", "secret"})
	out.EmptyDir = out.ConfigMap == nil && out.Secret == nil && out.Unsupported == "" // as in Kubernetes
	return out
}

func volumeFiles(v *value, name string) *mesh.VolumeFiles {
	if v == nil {
		return nil
	}
	out := &mesh.VolumeFiles{Name: v.str(name), Mode: v.number32("defaultMode", 0o644), Optional: v.flag("optional")}
	for _, e := range v.list("items") {
		out.Items = append(out.Items, mesh.VolumeItem{Key: e.str("key"), Path: e.str("path"), Mode: e.number32("mode", 0)})
	}
	return out
}

// probeReader reads the probes of one container.
type probeReader struct {
	*checker
	of *mesh.Container
}

// read gives a probe with Kubernetes' defaults; nil where there is none.
func (p probeReader) read(container *value, name string) *mesh.Probe {
	v := container.get(name)
	if v == nil {
		return nil
	}
	at := "the " + name + " of container " + p.of.Name
	out := &mesh.Probe{InitialDelay: seconds(v, "initialDelaySeconds", 0), Period: seconds(v, "periodSeconds", 10),
		Timeout: seconds(v, "timeoutSeconds", 1), SuccessThreshold: int(v.number32("successThreshold", 1)),
		FailureThreshold: int(v.number32("failureThreshold", 3)), Origin: p.here(v)}
	// Zero means the default, as in the API.
	out.Period, out.Timeout = orDefault(out.Period, 10*time.Second), orDefault(out.Timeout, time.Second)
	out.SuccessThreshold, out.FailureThreshold = orDefault(out.SuccessThreshold, 1), orDefault(out.FailureThreshold, 3)
	ways := 0
	if get := v.get("httpGet"); get != nil {
		out.HTTPGet = p.httpGet(get, at)
		ways++
	}
	if tcp := v.get("tcpSocket"); tcp != nil {
		out.TCPSocket = &mesh.TCPSocket{Port: p.portRef(tcp, at), Host: tcp.str("host")}
		ways++
	}
	if g := v.get("grpc"); g != nil {
		out.GRPC = &mesh.GRPCProbe{Port: p.portRef(g, at).Number, Service: g.str("service")}
		ways++
	}
	if e := v.get("exec"); e != nil {
		out.Exec = e.strs("command")
		ways++
	}
	if ways != 1 {
		p.warn(v, "write one of httpGet, tcpSocket, grpc and exec", "%s asks in %d ways, not in one", at, ways)
	}
	return out
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (p probeReader) httpGet(v *value, at string) *mesh.HTTPGet {
	out := &mesh.HTTPGet{Path: v.str("path"), Port: p.portRef(v, at), Scheme: v.str("scheme"), Host: v.str("host")}
	if !strings.HasPrefix(out.Path, "/") {
		out.Path = "/" + out.Path
	}
	out.Scheme = orDefault(out.Scheme, "HTTP")
	for _, e := range v.list("httpHeaders") {
		out.Headers = append(out.Headers, mesh.Header{Name: e.str("name"), Value: e.str("value")})
	}
	return out
}

// portRef reads a port by number or by name. One that names nothing is a warning: it never passes.
func (p probeReader) portRef(v *value, at string) mesh.PortRef {
	port := v.get("port")
	if port != nil && port.kind == textValue && port.text != "" {
		ref := mesh.PortRef{Name: port.text}
		if _, ok := p.of.Port(ref); !ok {
			p.warn(port, "give a port of the container that name, or write its number", "%s asks port %q, which the container does not declare", at, shorten(port.text))
		}
		return ref
	}
	if n := v.number("port", 0); n > 0 && n <= 65535 {
		return mesh.PortRef{Number: uint32(n)}
	}
	p.warn(v, "a port is a number from 1 to 65535, or the name of one of the container's", "%s names no port", at)
	return mesh.PortRef{}
}
