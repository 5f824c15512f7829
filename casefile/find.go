package casefile

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// call finds the client and the target of CLIENT -> HOST[|SUBSET]:PORT [at WORKLOAD].
func (run *runner) call(args []string) (resolve.Client, resolve.Target, error) {
	c, err := run.client(args[0])
	if err != nil {
		return c, resolve.Target{}, err
	}
	t, err := run.target(args[2], namespaceOf(c))
	if err != nil || len(args) < 5 {
		return c, t, err
	}
	if t.Service == nil {
		return c, t, fmt.Errorf("find target %q: at needs a service", args[2])
	}
	t.Workload, err = pick("endpoint", args[4], run.r.Endpoints(t.Service))
	return c, t, err
}

// client finds a caller by name.
func (run *runner) client(name string) (resolve.Client, error) {
	if name == "outside" {
		return resolve.Client{}, nil
	}
	w, err := pick("client", name, run.snap.Workloads)
	return resolve.Client{Workload: w}, err
}

func namespaceOf(c resolve.Client) string {
	if c.Workload == nil {
		return ""
	}
	return c.Workload.Ref.Namespace
}

// target finds what HOST[|SUBSET]:PORT means for a client of namespace ns.
func (run *runner) target(s, ns string) (resolve.Target, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return resolve.Target{}, fmt.Errorf("read target: %w", err)
	}
	host, subset, _ := strings.Cut(host, "|")
	t := resolve.Target{Subset: subset}
	if _, err := netip.ParseAddr(host); err == nil {
		run.address(host, &t)
	} else {
		switch services := run.r.Services(host, ns); len(services) {
		case 0:
			t.Host = host
		case 1:
			t.Service = services[0]
		default:
			return t, fmt.Errorf("find target %q: %d services have that name; write its namespace", host, len(services))
		}
	}
	t.Port, err = portNumber(t.Service, port)
	return t, err
}

// address finds what stands at an IP address: a pod, a service, or nothing known.
func (run *runner) address(ip string, t *resolve.Target) {
	for _, w := range run.snap.Workloads {
		if slices.Contains(w.Addresses, ip) {
			t.Workload = w
			return
		}
	}
	for _, s := range run.snap.Services {
		if slices.Contains(s.Addresses, ip) {
			t.Service = s
			return
		}
	}
	t.Host = ip
}

// portNumber reads a port as a number or, of a service, as a name.
func portNumber(s *mesh.Service, port string) (uint32, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		return uint32(n), nil
	}
	if s != nil {
		for _, p := range s.Ports {
			if p.Name == port {
				return p.Number, nil
			}
		}
	}
	return 0, fmt.Errorf("find port %q: neither a number nor the name of a service port", port)
}

// pick finds one workload by name among several.
func pick(what, name string, among []*mesh.Workload) (*mesh.Workload, error) {
	var found []*mesh.Workload
	var known []string
	for _, w := range among {
		if isNamed(w, name) {
			found = append(found, w)
		}
		known = append(known, nameOf(w))
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("find %s %q: no such workload%s", what, name, hint(name, known))
	}
	return nil, fmt.Errorf("find %s %q: %d workloads have that name; write it as one of %s",
		what, name, len(found), strings.Join(namesOf(found), ", "))
}

// isNamed says whether a name as written in a case file means w: [KIND/]NAME[.NAMESPACE], or its address.
func isNamed(w *mesh.Workload, name string) bool {
	if slices.Contains(w.Addresses, name) {
		return true
	}
	if kind, rest, ok := strings.Cut(name, "/"); ok {
		if kind != kindWord(w.Ref.Kind) {
			return false
		}
		name = rest
	}
	return name == w.Ref.Name || name == w.Ref.Name+"."+w.Ref.Namespace
}

// kindWord is how a case file writes a kind of workload before a name.
func kindWord(k mesh.Kind) string {
	switch k {
	case mesh.KindDeployment:
		return "deploy"
	case mesh.KindStatefulSet:
		return "sts"
	case mesh.KindDaemonSet:
		return "ds"
	}
	return strings.ToLower(string(k))
}

// nameOf writes a workload so that isNamed finds it.
func nameOf(w *mesh.Workload) string {
	if !w.InlineOf.IsZero() && len(w.Addresses) > 0 {
		return w.Addresses[0]
	}
	name := w.Ref.Name + "." + w.Ref.Namespace
	if w.Ref.Kind != mesh.KindPod {
		name = kindWord(w.Ref.Kind) + "/" + name
	}
	return name
}

func namesOf(ws []*mesh.Workload) []string {
	var out []string
	for _, w := range ws {
		out = append(out, nameOf(w))
	}
	return out
}
