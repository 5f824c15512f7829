package local

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// environ is an environment with an order.
type environ struct {
	names  []string
	values map[string]string
	// fixed are the names whose change restarts a pod; see fingerprint.
	loose map[string]bool
}

func newEnviron() *environ { return &environ{values: map[string]string{}, loose: map[string]bool{}} }

func (e *environ) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
	delete(e.loose, name)
}

// offer sets what is not set, of a service that the pod declares to call or not.
func (e *environ) offer(name, value string, called bool) {
	if _, ok := e.values[name]; ok {
		return
	}
	e.set(name, value)
	if !called {
		e.loose[name] = true
	}
}

func (e *environ) clone() *environ {
	return &environ{slices.Clone(e.names), maps.Clone(e.values), maps.Clone(e.loose)}
}

func (e *environ) list() []string {
	out := make([]string, 0, len(e.names))
	for _, n := range e.names {
		out = append(out, n+"="+e.values[n])
	}
	return out
}

// expand replaces "$(NAME)" where NAME is set; "$$" is one dollar sign. As in Kubernetes, what is not set stays as it is.
func (e *environ) expand(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				b.WriteByte('$')
				continue
			}
			if v, ok := e.values[s[i+2:i+end]]; ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[i : i+end+1])
			}
			i += end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// serviceEnv is what every container of the pod gets: where it listens, and where it finds services.
func (p *planner) serviceEnv(pod *planned) *environ {
	e := newEnviron()
	e.set("HOSTNAME", pod.w.Ref.Name)
	e.set("OARLOCK_WORKLOAD", cmp.Or(pod.w.Owner.Name, pod.w.Ref.Name))
	if pod.spec.AppAddr.IsValid() {
		e.set(bindVariable, pod.spec.AppAddr.String())
	} else {
		e.set(bindVariable, "0.0.0.0")
	}
	for _, own := range []bool{true, false} {
		for _, d := range pod.doors {
			for _, prefix := range envPrefixes(pod, d.service.s, own) {
				d.env(e, prefix)
			}
		}
	}
	if at := p.network.httpProxy(pod.number); at.IsValid() && pod.meshed() {
		no := []string{"localhost", "127.0.0.0/8", "127.0.0.1", pod.spec.AppAddr.String(), p.network.pod(pod.number).String()}
		for _, d := range pod.doors {
			no = append(no, d.addr.String())
		}
		for _, name := range []string{"http_proxy", "HTTP_PROXY"} {
			e.set(name, "http://"+at.String())
		}
		for _, name := range []string{"no_proxy", "NO_PROXY"} {
			e.set(name, strings.Join(no, ","))
			e.loose[name] = true
		}
	}
	return e
}

// envPrefixes are the names of a service in variables: first those by which only its own namespace knows it.
func envPrefixes(pod *planned, s *mesh.Service, own bool) []string {
	switch {
	case s.Entry():
		if own {
			return nil
		}
		return []string{envName(s.Hostname)}
	case own && s.Ref.Namespace == pod.w.Ref.Namespace:
		return []string{envName(s.Ref.Name)}
	case own:
		return nil
	}
	return []string{envName(s.Ref.Name + "-" + s.Ref.Namespace)}
}

func envName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '.':
			return '_'
		}
		return r
	}, strings.ToUpper(s))
}

// env adds Kubernetes' variables of one service.
func (d *planDoor) env(e *environ, prefix string) {
	host := d.addr.String()
	if !d.addr.IsValid() {
		host = d.service.ip.String()
	}
	if len(d.ports) == 0 {
		return
	}
	e.offer(prefix+"_SERVICE_HOST", host, d.called)
	e.offer(prefix+"_SERVICE_PORT", strconv.Itoa(int(d.ports[0].listen)), d.called)
	for _, dp := range d.ports {
		listen := strconv.Itoa(int(dp.listen))
		if dp.port.Name != "" {
			e.offer(prefix+"_SERVICE_PORT_"+envName(dp.port.Name), listen, d.called)
		}
		docker := fmt.Sprintf("%s_PORT_%d_TCP", prefix, dp.port.Number)
		e.offer(docker+"_ADDR", host, d.called)
		e.offer(docker+"_PORT", listen, d.called)
	}
}

// containerEnv adds what the container's manifest says.
func (p *planner) containerEnv(pod *planned, c *mesh.Container, services *environ) *environ {
	e := services.clone()
	for _, f := range c.EnvFrom {
		p.envFrom(pod, e, f)
	}
	for _, v := range c.Env {
		if v.From == nil {
			e.set(v.Name, e.expand(v.Value))
			continue
		}
		if value, ok := p.envValue(pod, c, v); ok {
			e.set(v.Name, value)
		}
	}
	return e
}

func (p *planner) envFrom(pod *planned, e *environ, f mesh.EnvFrom) {
	kind, name := "configmap", f.ConfigMap
	content, ok := p.configMap(pod, f.ConfigMap)
	if f.ConfigMap == "" {
		kind, name = "secret", f.Secret
		content, ok = p.secret(pod, f.Secret)
	}
	if !ok && !f.Optional {
		pod.block("%s %q not found", kind, name)
	}
	for _, k := range slices.Sorted(maps.Keys(content)) {
		e.set(f.Prefix+k, content[k])
	}
}

// block says why the pod waits, if nothing did so before.
func (p *planned) block(format string, args ...any) {
	if p.spec.Blocked == "" {
		p.spec.Blocked = fmt.Sprintf(format, args...)
	}
}

func (p *planner) envValue(pod *planned, c *mesh.Container, v mesh.EnvVar) (string, bool) {
	f := v.From
	switch {
	case f.FieldPath != "":
		value, ok := p.field(pod, f.FieldPath)
		if !ok {
			p.problem(mesh.Warning, pod.w, v.Origin, fmt.Sprintf("set %s of container %q: field %s is not known here", v.Name, c.Name, f.FieldPath))
		}
		return value, ok
	case f.ConfigMapKey != nil:
		content, ok := p.configMap(pod, f.ConfigMapKey.Name)
		return pod.key(content, ok, f.ConfigMapKey, "configmap")
	case f.SecretKey != nil:
		content, ok := p.secret(pod, f.SecretKey.Name)
		return pod.key(content, ok, f.SecretKey, "secret")
	case f.Unsupported != "":
		p.problem(mesh.Warning, pod.w, v.Origin, fmt.Sprintf("set %s of container %q: %s is not read here", v.Name, c.Name, f.Unsupported))
	}
	return "", false
}

func (p *planned) key(content map[string]string, found bool, k *mesh.KeyRef, kind string) (string, bool) {
	v, ok := content[k.Key]
	switch {
	case ok || k.Optional:
	case !found:
		p.block("%s %q not found", kind, k.Name)
	default:
		p.block("couldn't find key %s in %s %s/%s", k.Key, kind, p.w.Ref.Namespace, k.Name)
	}
	return v, ok
}

// field looks up a field of the pod.
func (p *planner) field(pod *planned, path string) (string, bool) {
	w := pod.w
	if key, ok := subscript(path, "metadata.labels"); ok {
		return w.Labels[key], true
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return w.Annotations[key], true
	}
	switch path {
	case "metadata.name":
		return w.Ref.Name, true
	case "metadata.namespace":
		return w.Ref.Namespace, true
	case "metadata.uid":
		return w.Ref.Namespace + "." + w.Ref.Name, true
	case "spec.serviceAccountName":
		return w.ServiceAccount, true
	case "spec.nodeName":
		return p.hostname, true
	case "status.podIP", "status.podIPs":
		return p.network.pod(pod.number).String(), true
	case "status.hostIP", "status.hostIPs":
		return "127.0.0.1", true
	}
	return "", false
}

// subscript takes KEY from PATH['KEY'].
func subscript(s, path string) (string, bool) {
	rest, ok := strings.CutPrefix(s, path+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

func (p *planner) configMap(pod *planned, name string) (map[string]string, bool) {
	for _, c := range p.snap.ConfigMaps {
		if c.Ref.Namespace == pod.w.Ref.Namespace && c.Ref.Name == name {
			return c.Data, true
		}
	}
	return nil, false
}

func (p *planner) secret(pod *planned, name string) (map[string]string, bool) {
	for _, s := range p.snap.Secrets {
		if s.Ref.Namespace == pod.w.Ref.Namespace && s.Ref.Name == name {
			out := map[string]string{}
			for k, v := range s.Data {
				out[k] = v.Reveal()
			}
			return out, true
		}
	}
	return nil, false
}
