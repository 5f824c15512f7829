package local

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// ownProgram is the command that stands for the program which runs the mesh.
const ownProgram = "oarlock"

// planContainers fills in the processes of a pod.
func (p *planner) planContainers(pod *planned, services *environ) {
	for i := range pod.w.InitContainers {
		if c := &pod.w.InitContainers[i]; c.Name != mesh.SidecarContainer {
			pod.spec.Init = append(pod.spec.Init, p.container(pod, c, services))
		}
	}
	for i := range pod.w.Containers {
		if c := &pod.w.Containers[i]; c.Name != mesh.SidecarContainer {
			pod.spec.Containers = append(pod.spec.Containers, p.container(pod, c, services))
		}
	}
	if len(pod.spec.Containers) == 0 && pod.spec.Failed == "" && !pod.w.Router {
		pod.spec.Failed = "it has no containers"
	}
}

func (p *planner) container(pod *planned, c *mesh.Container, services *environ) containerSpec {
	out := containerSpec{Name: c.Name, Keep: c.RestartPolicy == "Always"}
	if len(c.Command) == 0 {
		pod.spec.Failed = fmt.Sprintf("container %q has no command: image %q is not run here", c.Name, c.Image)
		pr := p.problem(mesh.Error, pod.w, c.Origin, fmt.Sprintf("run container %q: it has no command, and image %q is not run here", c.Name, c.Image))
		pr.Hint = "write what the image runs as `command`: it is started as a process of this machine"
		return out
	}
	env := p.containerEnv(pod, c, services)
	mounts := p.mounts(pod, c)
	for i, word := range append(slices.Clone(c.Command), c.Args...) {
		word = env.expand(word)
		if i == 0 && word == ownProgram {
			word = p.executable
		}
		out.Argv = append(out.Argv, rewriteMounts(word, mounts))
	}
	for _, n := range env.names {
		env.values[n] = rewriteMounts(env.values[n], mounts)
	}
	out.Env = env.list()
	pod.loose(env)
	out.Dir = rewriteMounts(c.WorkingDir, mounts)
	if out.Dir == "" {
		out.Dir = p.settings.Dir
	}
	if out.Dir == "" {
		out.Dir = filepath.Join(pod.spec.Dir, "containers", c.Name)
		pod.spec.Folders = append(pod.spec.Folders, filepath.Join("containers", c.Name))
	}
	for _, port := range c.Ports {
		if port.Protocol == "" || port.Protocol == "TCP" {
			out.Ports = append(out.Ports, port.Number)
		}
	}
	if len(out.Ports) > 0 && p.explicit() && !mentions(c, bindVariable) && c.Command[0] != ownProgram {
		out.Hint = "if its port is in use: it must listen on $" + bindVariable + ", or the mesh needs --capture transparent"
	}
	out.Readiness = p.probe(pod, c, "readyz", c.Readiness)
	out.Liveness = p.probe(pod, c, "livez", c.Liveness)
	out.Startup = p.probe(pod, c, "startupz", c.Startup)
	return out
}

// bindVariable is where an application listens.
const bindVariable = "BIND_ADDR"

// mentions says whether the manifest of a container names a variable.
func mentions(c *mesh.Container, name string) bool {
	words := append(slices.Clone(c.Command), c.Args...)
	for _, e := range c.Env {
		words = append(words, e.Value)
	}
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, name) })
}

// A mountPoint is where a container sees a folder, and where it is.
type mountPoint struct{ path, dir string }

// mounts lists the mounts of a container, the longest path first.
func (p *planner) mounts(pod *planned, c *mesh.Container) []mountPoint {
	var out []mountPoint
	for _, m := range c.Mounts {
		path := filepath.Clean(m.Path)
		known := slices.ContainsFunc(pod.w.Volumes, func(v mesh.Volume) bool { return v.Name == m.Volume && v.Unsupported != "hostPath" })
		if !known || path == "/" {
			continue
		}
		out = append(out, mountPoint{path, filepath.Join(pod.spec.Dir, volumeFolder(m.Volume), filepath.Clean("/"+m.SubPath))})
	}
	slices.SortStableFunc(out, func(a, b mountPoint) int { return len(b.path) - len(a.path) })
	return out
}

// rewriteMounts replaces mount paths at the start of s and after '=', ',' and ':', where nothing or a slash follows.
func rewriteMounts(s string, mounts []mountPoint) string {
	if len(mounts) == 0 || !strings.Contains(s, "/") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if i == 0 || strings.IndexByte("=,:", s[i-1]) >= 0 {
			if m := mountAt(s[i:], mounts); m != nil {
				b.WriteString(m.dir)
				i += len(m.path)
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

func mountAt(s string, mounts []mountPoint) *mountPoint {
	for i := range mounts {
		rest, ok := strings.CutPrefix(s, mounts[i].path)
		if ok && (rest == "" || strings.IndexByte("/,:", rest[0]) >= 0) {
			return &mounts[i]
		}
	}
	return nil
}

func volumeFolder(name string) string { return filepath.Join("volumes", filepath.Base(name)) }

// planVolumes lists the files of the pod's volumes.
func (p *planner) planVolumes(pod *planned) {
	for _, v := range p.volumes(pod) {
		dir := volumeFolder(v.Name)
		pod.spec.Folders = append(pod.spec.Folders, dir)
		switch {
		case v.ConfigMap != nil:
			content, ok := p.configMap(pod, v.ConfigMap.Name)
			pod.volumeFiles(dir, v.ConfigMap, content, missing{ok, "configmap"})
		case v.Secret != nil:
			content, ok := p.secret(pod, v.Secret.Name)
			pod.volumeFiles(dir, v.Secret, content, missing{ok, "secret"})
		case v.Unsupported != "":
			p.problem(mesh.Warning, pod.w, v.Origin, fmt.Sprintf("mount volume %q: %s is not read here; the folder is empty", v.Name, v.Unsupported))
		}
	}
}

// volumes are those of the pod and those of its sidecar.
func (p *planner) volumes(pod *planned) []mesh.Volume {
	out := slices.Clone(pod.w.Volumes)
	if !pod.meshed() {
		return out
	}
	for _, v := range pod.w.SidecarVolumes {
		if !slices.ContainsFunc(out, func(o mesh.Volume) bool { return o.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return out
}

// sidecarMounts are where the sidecar sees its volumes, and where they are.
func (p *planner) sidecarMounts(pod *planned) map[string]string {
	out := map[string]string{}
	for _, m := range pod.w.SidecarMounts {
		out[filepath.Clean(m.Path)] = filepath.Join(pod.spec.Dir, volumeFolder(m.Volume), filepath.Clean("/"+m.SubPath))
	}
	return out
}

// missing says whether an object was found, and what its kind is called in Kubernetes' messages.
type missing struct {
	found bool
	kind  string
}

func (p *planned) volumeFiles(dir string, v *mesh.VolumeFiles, content map[string]string, m missing) {
	if !m.found {
		if !v.Optional {
			p.block("%s %q not found", m.kind, v.Name)
		}
		return
	}
	items := v.Items
	if len(items) == 0 {
		for _, k := range slices.Sorted(maps.Keys(content)) {
			items = append(items, mesh.VolumeItem{Key: k, Path: k})
		}
	}
	for _, it := range items {
		text, ok := content[it.Key]
		if !ok {
			if !v.Optional {
				p.block("%s %q references non-existent key: %s", m.kind, v.Name, it.Key)
			}
			continue
		}
		mode := v.Mode
		if it.Mode != 0 {
			mode = it.Mode
		}
		if m.kind == "secret" {
			mode &= 0o700 // nobody but this user, whatever the manifest says: the machine has other users
		}
		// A path that climbs out of the volume stays in it.
		path := filepath.Join(dir, filepath.Clean("/"+it.Path))
		p.spec.Files = append(p.spec.Files, fileSpec{Path: path, Mode: mode | 0o400, Content: []byte(text), Live: true})
	}
}

// probe gives a probe its address: the sidecar's port for probes where it makes them in the application's place, else the
// pod's, to which the engine is a caller like any other.
func (p *planner) probe(pod *planned, c *mesh.Container, name string, m *mesh.Probe) *probeSpec {
	if m == nil {
		return nil
	}
	out := &probeSpec{Exec: m.Exec, Delay: m.InitialDelay, Period: m.Period, Timeout: m.Timeout, Successes: m.SuccessThreshold, Failures: m.FailureThreshold}
	ip := p.network.pod(pod.number).String()
	bad := func(ref mesh.PortRef) *probeSpec {
		p.problem(mesh.Warning, pod.w, m.Origin, fmt.Sprintf("probe container %q: it has no port %q", c.Name, ref.Name))
		return nil
	}
	switch {
	case m.HTTPGet != nil:
		port, ok := c.Port(m.HTTPGet.Port)
		if !ok {
			return bad(m.HTTPGet.Port)
		}
		out.HTTP, out.Headers = httpURL(m.HTTPGet, ip, port), m.HTTPGet.Headers
	case m.TCPSocket != nil:
		port, ok := c.Port(m.TCPSocket.Port)
		if !ok {
			return bad(m.TCPSocket.Port)
		}
		out.TCP = hostPort(m.TCPSocket.Host, ip, port)
	case m.GRPC != nil:
		out.GRPC, out.Service = hostPort("", ip, m.GRPC.Port), m.GRPC.Service
	}
	if p.rewrites(pod, out) {
		out.HTTP, out.Headers, out.TCP, out.GRPC = "http://"+p.health(pod).String()+probePath(c.Name, name), nil, "", ""
	}
	return out
}

func httpURL(h *mesh.HTTPGet, ip string, port uint32) string {
	path := h.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return strings.ToLower(h.Scheme) + "://" + hostPort(h.Host, ip, port) + path
}

func hostPort(host, ip string, port uint32) string {
	if host == "" {
		host = ip
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// probePath is Istio's path of a rewritten probe; name is readyz, livez or startupz.
func probePath(container, name string) string { return "/app-health/" + container + "/" + name }

func (p *planner) health(pod *planned) netip.AddrPort {
	return netip.AddrPortFrom(p.network.pod(pod.number), healthPort)
}

// rewrites says whether the sidecar makes the probe in the application's place: by the annotation, and where there is none
// in the current dialect alone. Up to 1.4 that was for HTTP alone.
func (p *planner) rewrites(pod *planned, s *probeSpec) bool {
	if !pod.meshed() || s.Exec != nil || (p.snap.Dialect.Legacy() && s.HTTP == "") {
		return false
	}
	switch pod.w.Annotations[mesh.RewriteAppHTTPProbers] {
	case "true":
		return true
	case "false":
		return false
	}
	return !p.snap.Dialect.Legacy()
}
