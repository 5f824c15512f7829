package change

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/oarlock/oarlock/mesh"
)

const currentAPI = "security.istio.io/v1"

// current edits PeerAuthentications.
//
// A workload obeys exactly one PeerAuthentication with a selector, the oldest that matches, so that one is edited. There
// can be no second one for some of its workloads: it would be younger. A Service is its pods, a Service port is a port of
// each of them.
type current struct {
	*plan
}

// scopePolicies lists the PeerAuthentications without a selector in a namespace, the winner first. Those in the root
// namespace are the mesh's.
func (c current) scopePolicies(ns string) []*mesh.PeerAuthentication {
	var out []*mesh.PeerAuthentication
	for _, pa := range c.snap.PeerAuthentications {
		if pa.Ref.Namespace == ns && len(pa.Selector) == 0 {
			out = append(out, pa)
		}
	}
	return out
}

func (c current) root() string { return c.snap.Config.RootNamespace }

// selecting lists the PeerAuthentications whose selector matches a workload, the winner first.
func (c current) selecting(w *mesh.Workload) []*mesh.PeerAuthentication {
	if w.Ref.Namespace == c.root() {
		return nil // selectors there have no effect (semantics M8)
	}
	var out []*mesh.PeerAuthentication
	for _, pa := range c.snap.PeerAuthentications {
		if pa.Ref.Namespace == w.Ref.Namespace && len(pa.Selector) > 0 && mesh.Selects(pa.Selector, w.Labels) {
			out = append(out, pa)
		}
	}
	return out
}

// set makes the scope say mode.
func (c current) set(p place, mode mesh.Mode) error {
	switch {
	case p.Scope == ScopeMesh:
		return c.setScope(p, c.root(), mode)
	case p.Scope == ScopeNamespace && p.Namespace == c.root():
		e := refuse(p.Resource, "it is the root namespace: what is said there is said for the mesh")
		e.Try = "mesh"
		return e
	case p.Scope == ScopeNamespace:
		return c.setScope(p, p.Namespace, mode)
	}
	pods, err := c.pods(p)
	if err != nil {
		return err
	}
	if p.Scope == ScopePort {
		return c.setPort(p, pods, mode)
	}
	return c.setService(p, pods, mode)
}

func (c current) setScope(p place, ns string, mode mesh.Mode) error {
	own := c.scopePolicies(ns)
	if len(own) == 0 {
		ref := mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: ns, Name: "default"}
		spec := mesh.Tree{"mtls": mesh.Tree{"mode": mode.String()}}
		if c.taken(ref) {
			ref.Name = c.name(ref, ns, spec)
		}
		c.add(newObject(c.apiVersion(ref.Kind), ref, spec), c.because(p, mode))
		return nil
	}
	setMTLS(c.edit(&own[0].Object, own[0].Body, c.because(p, mode)), mode)
	for _, q := range own[1:] {
		c.note("%s has no effect: %s", q.Ref, behind(&own[0].Object, &q.Object))
	}
	return nil
}

// behind says why one object of a scope comes after another.
func behind(first, second *mesh.Object) string {
	if !first.Created.Equal(second.Created) {
		return first.Ref.String() + " is older"
	}
	return first.Ref.String() + " comes first by name, where neither is known to be older"
}

// setMTLS writes the workload mode. ModeUnset takes it out.
func setMTLS(body mesh.Tree, mode mesh.Mode) {
	spec := grow(body, "spec")
	if mode == mesh.ModeUnset {
		delete(spec, "mtls")
		return
	}
	mtls := grow(spec, "mtls")
	if mtls["mode"] != mode.String() {
		mtls["mode"] = mode.String()
	}
}

// setPortMTLS writes the mode of workload ports. ModeUnset takes them out.
func setPortMTLS(body mesh.Tree, ports []uint32, mode mesh.Mode) {
	spec := grow(body, "spec")
	for _, n := range ports {
		key := strconv.Itoa(int(n))
		if mode != mesh.ModeUnset {
			grow(spec, "portLevelMtls", key)["mode"] = mode.String()
			continue
		}
		if list := dig(spec, "portLevelMtls"); list != nil {
			delete(list, key)
			if len(list) == 0 {
				delete(spec, "portLevelMtls")
			}
		}
	}
}

// pods gives the workloads behind the service, or says why a policy cannot name them.
func (c current) pods(p place) ([]*mesh.Workload, error) {
	if p.Namespace == c.root() {
		return nil, refuse(p.Resource, "it is in the root namespace, where a PeerAuthentication with a selector has no effect")
	}
	if len(p.svc.Selector) == 0 {
		return nil, refuse(p.Resource, "the Service has no selector, and a PeerAuthentication can name workloads by their labels alone")
	}
	pods := c.r.Endpoints(p.svc)
	if len(pods) == 0 {
		return nil, refuse(p.Resource, "no workload is behind the Service, so there is nothing that a PeerAuthentication could protect")
	}
	return pods, nil
}

// winners gives the PeerAuthentications that the pods obey, in order, and whether some pod obeys none.
func (c current) winners(pods []*mesh.Workload) (found []*mesh.PeerAuthentication, free bool) {
	for _, w := range pods {
		list := c.selecting(w)
		switch {
		case len(list) == 0:
			free = true
		case !slices.Contains(found, list[0]):
			found = append(found, list[0])
		}
	}
	return found, free
}

// others gives the workloads that a PeerAuthentication selects besides those of the service.
func (c current) others(pa *mesh.PeerAuthentication, svc *mesh.Service) []*mesh.Workload {
	var out []*mesh.Workload
	for _, w := range c.snap.Workloads {
		if w.Ref.Namespace == pa.Ref.Namespace && mesh.Selects(pa.Selector, w.Labels) && !mesh.Selects(svc.Selector, w.Labels) {
			out = append(out, w)
		}
	}
	return out
}

// editable refuses winners that also select workloads of which the intent says nothing.
func (c current) editable(p place, winners []*mesh.PeerAuthentication) error {
	for _, pa := range winners {
		if more := c.others(pa, p.svc); len(more) > 0 {
			return refuse(p.Resource, "its workloads obey %s, which also selects %s, and a workload obeys one PeerAuthentication alone: a new one would be younger and lose; narrow that one's selector first",
				pa.Ref, names(more))
		}
	}
	return nil
}

// names lists workloads for a sentence.
func names(ws []*mesh.Workload) string {
	var out []string
	for _, w := range ws {
		out = append(out, w.Ref.String())
	}
	return some(out, 4)
}

// setService makes the pods of a service say mode. Ports with a mode of their own keep it.
func (c current) setService(p place, pods []*mesh.Workload, mode mesh.Mode) error {
	winners, free := c.winners(pods)
	if err := c.editable(p, winners); err != nil {
		return err
	}
	if free {
		if err := c.single(p, winners); err != nil {
			return err
		}
		c.create(p, mode, nil)
	}
	for _, pa := range winners {
		setMTLS(c.edit(&pa.Object, pa.Body, c.because(p, mode)), mode)
		c.portExceptions(p, pods, pa, mode)
	}
	c.shared(p, pods, nil, winners...)
	return nil
}

// single refuses to put a new PeerAuthentication beside others for some of its workloads where the others also have port
// modes: in files no age says which of two would win, and it must not matter.
func (c current) single(p place, winners []*mesh.PeerAuthentication) error {
	for _, pa := range winners {
		if len(pa.Ports) > 0 {
			return refuse(p.Resource, "some of its workloads obey %s, which sets ports, and others obey none: one policy for all would hide it; give it the Service's selector first", pa.Ref)
		}
	}
	return nil
}

// create makes a PeerAuthentication with the Service's selector: for all ports with a mode, or for some ports.
func (c current) create(p place, mode mesh.Mode, ports []uint32) {
	spec := mesh.Tree{"selector": mesh.Tree{"matchLabels": labelsTree(p.svc.Selector)}}
	body := mesh.Tree{"spec": spec}
	if len(ports) > 0 {
		setPortMTLS(body, ports, mode)
	} else {
		setMTLS(body, mode)
	}
	ref := mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: p.Namespace}
	ref.Name = c.name(ref, p.Service, spec)
	c.add(newObject(c.apiVersion(ref.Kind), ref, spec), c.because(p, mode))
}

// portExceptions notes the ports of the service that a policy sets otherwise.
func (c current) portExceptions(p place, pods []*mesh.Workload, pa *mesh.PeerAuthentication, mode mesh.Mode) {
	for i := range p.svc.Ports {
		q := &p.svc.Ports[i]
		for _, e := range pa.Ports {
			if e.Mode != mesh.ModeUnset && e.Mode != mode && slices.Contains(targets(q, pods), e.Port) {
				c.exception(Resource{ScopePort, p.Namespace, p.Service, fmt.Sprint(q.Number)}, e.Mode, pa.Ref)
			}
		}
	}
}

// targets gives the workload ports that a service port reaches, ascending.
func targets(q *mesh.Port, pods []*mesh.Workload) []uint32 {
	var out []uint32
	for _, w := range pods {
		if n, ok := q.TargetOn(w); ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// shared names every other Service on the same pods that the change touches: those that lead to one of the ports, or
// (nil) to any port that has no mode of its own.
func (c current) shared(p place, pods []*mesh.Workload, ports []uint32, winners ...*mesh.PeerAuthentication) {
	touched := map[string]bool{}
	apart := func(n uint32) bool {
		return slices.ContainsFunc(winners, func(pa *mesh.PeerAuthentication) bool {
			return slices.ContainsFunc(pa.Ports, func(e mesh.PortMode) bool { return e.Port == n && e.Mode != mesh.ModeUnset })
		})
	}
	for _, w := range pods {
		for _, s := range c.r.ServicesOf(w) {
			for i := range s.Ports {
				n, ok := s.Ports[i].TargetOn(w)
				if ok && s.Ref != p.svc.Ref && (ports == nil && !apart(n) || slices.Contains(ports, n)) {
					touched[fmt.Sprintf("%s/%s:%d", s.Ref.Namespace, s.Ref.Name, s.Ports[i].Number)] = true
				}
			}
		}
	}
	if len(touched) > 0 {
		c.note("%s leads to the same workloads and changes with it", some(keys(touched), 8))
	}
}

// setPort makes the workload ports behind a service port say mode.
func (c current) setPort(p place, pods []*mesh.Workload, mode mesh.Mode) error {
	ports, err := c.ports(p, pods)
	if err != nil {
		return err
	}
	winners, free := c.winners(pods)
	if err := c.editable(p, winners); err != nil {
		return err
	}
	if free && len(winners) > 0 {
		return refuse(p.Resource, "some of its workloads obey %s and others no PeerAuthentication with a selector: give that one the Service's selector first", winners[0].Ref)
	}
	if free {
		c.create(p, mode, ports)
	}
	for _, pa := range winners {
		setPortMTLS(c.edit(&pa.Object, pa.Body, c.because(p, mode)), ports, mode)
	}
	c.shared(p, pods, ports)
	return nil
}

// ports gives the workload ports behind a service port. Where a named port is another number on other workloads, each of
// these must mean nothing else on the rest.
func (c current) ports(p place, pods []*mesh.Workload) ([]uint32, error) {
	ports := targets(p.port, pods)
	if len(ports) == 0 {
		return nil, refuse(p.Resource, "no workload behind the Service has a port %q", p.port.TargetName)
	}
	if len(ports) == 1 {
		return ports, nil
	}
	for _, w := range pods {
		own, _ := p.port.TargetOn(w)
		for _, n := range ports {
			if n != own && c.uses(w, n) {
				return nil, refuse(p.Resource, "it is port %d on some workloads, and %s uses that port for something else", n, w.Ref)
			}
		}
	}
	c.note("%s is a different port on its workloads: %s", p.Resource, portWords(ports))
	return ports, nil
}

// uses says whether a workload has a port, or a Service that leads to it.
func (c current) uses(w *mesh.Workload, port uint32) bool {
	if slices.ContainsFunc(w.Ports, func(q mesh.ContainerPort) bool { return q.Number == port }) {
		return true
	}
	for _, s := range c.r.ServicesOf(w) {
		for i := range s.Ports {
			if n, ok := s.Ports[i].TargetOn(w); ok && n == port {
				return true
			}
		}
	}
	return false
}

func portWords(ports []uint32) string {
	var out []string
	for _, n := range ports {
		out = append(out, fmt.Sprint(n))
	}
	return some(out, 8)
}

// unset removes what the scope says.
func (c current) unset(p place) error {
	switch {
	case p.Scope == ScopeMesh:
		return c.unsetScope(p, c.root())
	case p.Scope == ScopeNamespace && p.Namespace == c.root():
		return c.set(p, mesh.ModeUnset) // refuses, and says why
	case p.Scope == ScopeNamespace:
		return c.unsetScope(p, p.Namespace)
	}
	pods, err := c.pods(p)
	if err != nil {
		return err
	}
	winners, _ := c.winners(pods)
	if err := c.editable(p, winners); err != nil {
		return err
	}
	if p.Scope == ScopePort {
		return c.unsetPort(p, pods, winners)
	}
	return c.unsetService(p, pods, winners)
}

func (c current) unsetScope(p place, ns string) error {
	own := c.scopePolicies(ns)
	if len(own) == 0 {
		c.note("%s has no policy of its own", p.Title())
	}
	for i, pa := range own {
		c.remove(&pa.Object, pa.Body, c.because(p, mesh.ModeUnset))
		if i > 0 {
			c.note("%s is removed too: it would be next to decide", pa.Ref)
		}
	}
	return nil
}

func (c current) unsetService(p place, pods []*mesh.Workload, winners []*mesh.PeerAuthentication) error {
	found := false
	for _, pa := range winners {
		if pa.Mode == mesh.ModeUnset {
			continue
		}
		found = true
		body := c.edit(&pa.Object, pa.Body, c.because(p, mesh.ModeUnset))
		setMTLS(body, mesh.ModeUnset)
		if err := c.dropEmpty(p, pods, pa, body); err != nil {
			return err
		}
	}
	if !found {
		c.note("%s has no policy of its own", p.Title())
	}
	for _, pa := range winners {
		c.portExceptions(p, pods, pa, mesh.ModeUnset)
	}
	c.shared(p, pods, nil, winners...)
	return nil
}

func (c current) unsetPort(p place, pods []*mesh.Workload, winners []*mesh.PeerAuthentication) error {
	ports := targets(p.port, pods)
	found := false
	for _, pa := range winners {
		if !slices.ContainsFunc(pa.Ports, func(e mesh.PortMode) bool { return slices.Contains(ports, e.Port) }) {
			continue
		}
		found = true
		body := c.edit(&pa.Object, pa.Body, c.because(p, mesh.ModeUnset))
		setPortMTLS(body, ports, mesh.ModeUnset)
		if err := c.dropEmpty(p, pods, pa, body); err != nil {
			return err
		}
	}
	if !found {
		c.note("%s has no policy of its own", p.Resource)
		return nil
	}
	c.shared(p, pods, ports)
	return nil
}

// dropEmpty removes a PeerAuthentication that says nothing any more. Where another one waits behind it, it stays as an
// empty one: the workloads would obey the other.
func (c current) dropEmpty(p place, pods []*mesh.Workload, pa *mesh.PeerAuthentication, body mesh.Tree) error {
	spec := dig(body, "spec")
	if mode := text(dig(spec, "mtls")["mode"]); mode != "" && mode != "UNSET" || spec["portLevelMtls"] != nil {
		return nil
	}
	for _, w := range pods {
		if list := c.selecting(w); len(list) > 1 && list[0] == pa {
			c.note("%s stays without a mode: without it, %s would decide", pa.Ref, list[1].Ref)
			return nil
		}
	}
	c.remove(&pa.Object, pa.Body, c.because(p, mesh.ModeUnset))
	return nil
}
