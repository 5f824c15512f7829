package local

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// The ways of capture.
const (
	CaptureAuto        = "auto"
	CaptureExplicit    = "explicit"
	CaptureTransparent = "transparent"
)

// Settings are what a mesh's manifests do not say.
type Settings struct {
	// TrustDomain of the SVIDs; "" is the mesh's.
	TrustDomain string
	// RootsPEM are the roots by which sidecars believe the control plane.
	RootsPEM []byte
	// Token gives a token to a pod, a workload of KindPod, and says when it ends. Nil: no pod has one.
	Token func(pod *mesh.Workload) (token string, expires time.Time, err error)
	// XDSAddress and CSRAddress are the control plane's: "unix:PATH" or HOST:PORT. Without CSRAddress sidecars have no
	// identity, without XDSAddress no sidecar starts.
	XDSAddress, CSRAddress string
	// XDSPlaintext and XDSDelta are bootstrap.XDS' fields.
	XDSPlaintext, XDSDelta bool
	// ServerName is in the certificate of the control plane; "" is istiod.ROOTNAMESPACE.svc.
	ServerName string
	// TTL is the life of an SVID; zero is the service's default.
	TTL time.Duration
	// Capture is the way of capture wanted; "" is CaptureAuto. The engine's was chosen when it started
	// (StartOptions.Capture): another one is an error.
	Capture string
	// Dir is the working directory of containers that name none; "" is a folder of the pod's.
	Dir string
	// LogLevel is the sidecars'; "" is info.
	LogLevel string
	// Drain is how long a sidecar that ends waits for what is under way; zero is its default.
	Drain time.Duration
}

// machine is what a plan has to know of where it will run.
type machine struct {
	paths      Paths
	executable string // what "oarlock" in a command stands for
	lowPorts   bool   // ports below 1024 may be listened on
	hostname   string
	network    network
	// way is CaptureExplicit or CaptureTransparent, and wayWhy the reason.
	way, wayWhy string
}

// network is where the mesh's addresses come from.
type network interface {
	// prober is the address from which the sidecar of pod n tries others, and for outsideNumber a caller that is no pod.
	// What comes from there is no traffic.
	prober(n int) netip.Addr
	// pod is the address of pod n, and app where its application listens; the same where capture tells them apart.
	pod(n int) netip.Addr
	app(n int) netip.Addr
	// service is the address of service n.
	service(n int) netip.Addr
	// door is where pod p finds service s; invalid where capture needs no doors.
	door(p, s int) netip.Addr
	// httpProxy is where pod p finds its HTTP proxy; invalid where there is none.
	httpProxy(p int) netip.AddrPort
}

// planner turns one snapshot into what shall run.
type planner struct {
	machine
	snap     *mesh.Snapshot
	settings Settings
	numbers  *addresses
	tokens   map[mesh.Ref]string

	pods     []*planned
	services []*planService
	out      desired
}

// planned is one pod on its way.
type planned struct {
	w      *mesh.Workload
	number int // 0: none was left
	doors  []planDoor
	spec   podSpec
	// looseEnv are the variables whose change does not restart the pod.
	looseEnv map[string]bool
}

func (p *planned) meshed() bool { return p.w.Capture == mesh.CaptureSidecar || p.w.Router }

// newPlanner finds the pods and gives them their numbers. But for the numbers, which it takes and gives out, all is pure.
func newPlanner(m machine, snap *mesh.Snapshot, s Settings, numbers *addresses) *planner {
	p := &planner{machine: m, snap: snap, settings: s, numbers: numbers}
	p.out = desired{Version: wireVersion, Capture: m.way, CaptureWhy: m.wayWhy}
	p.expand()
	p.number()
	return p
}

func (p *planner) plan() *desired {
	p.planServices()
	for _, pod := range p.pods {
		p.planPod(pod)
	}
	p.planAwaits()
	for _, pod := range p.pods {
		p.out.Pods = append(p.out.Pods, pod.spec)
	}
	p.planForwards()
	p.planNames()
	return &p.out
}

func (p *planner) problem(sev mesh.Severity, w *mesh.Workload, at mesh.Origin, message string) *mesh.Problem {
	ref := w.Ref
	if !w.Owner.IsZero() {
		ref = w.Owner
	}
	pr := mesh.Problem{Severity: sev, Ref: ref, Origin: at, Message: message}
	for i := range p.out.Problems {
		if p.out.Problems[i] == pr {
			return &p.out.Problems[i] // another replica
		}
	}
	p.out.Problems = append(p.out.Problems, pr)
	return &p.out.Problems[len(p.out.Problems)-1]
}

// expand makes the pods: one for each replica of a template, and those that the manifests write themselves.
func (p *planner) expand() {
	names := map[mesh.Ref]bool{}
	for _, w := range p.snap.Workloads {
		if w.Ref.Kind == mesh.KindPod {
			names[w.Ref] = true
			p.pods = append(p.pods, &planned{w: instance(w, w.Ref, mesh.Ref{})})
		}
	}
	for _, w := range p.snap.Workloads {
		if w.Ref.Kind == mesh.KindCronJob {
			p.problem(mesh.Warning, w, w.Origin, fmt.Sprintf("run %s: a schedule is not run here", w.Ref))
			continue
		}
		if !w.Template() {
			continue
		}
		for i := range w.Replicas {
			if len(p.pods) > 4*MaxPods {
				break
			}
			ref := podRef(w, i, names)
			names[ref] = true
			p.pods = append(p.pods, &planned{w: instance(w, ref, w.Ref)})
		}
	}
	slices.SortFunc(p.pods, func(a, b *planned) int { return a.w.Ref.Compare(b.w.Ref) })
}

// podRef names replica i of a template: NAME-0 of a StatefulSet, as in Kubernetes, else NAME-adjective-animal.
func podRef(w *mesh.Workload, i int, taken map[mesh.Ref]bool) mesh.Ref {
	ref := mesh.Ref{Kind: mesh.KindPod, Namespace: w.Ref.Namespace}
	if w.Ref.Kind == mesh.KindStatefulSet {
		ref.Name = fmt.Sprintf("%s-%d", w.Ref.Name, i)
		return ref
	}
	print := fmt.Appendf(nil, "%s/%s/%s/%d", w.Ref.Kind, w.Ref.Namespace, w.Ref.Name, i)
	ref.Name = w.Ref.Name + "-" + mesh.HumanName(print)
	if taken[ref] {
		ref.Name = w.Ref.Name + "-" + mesh.HumanName3(print)
	}
	return ref
}

// instance copies a workload into one that runs.
func instance(w *mesh.Workload, ref, owner mesh.Ref) *mesh.Workload {
	pod := *w
	pod.Ref, pod.Replicas, pod.Addresses = ref, 1, nil
	if !owner.IsZero() {
		pod.Owner = owner
	}
	if owner.Kind == mesh.KindStatefulSet {
		pod.Labels = maps.Clone(w.Labels)
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels["statefulset.kubernetes.io/pod-name"] = ref.Name
	}
	return &pod
}

// number gives every pod its address.
func (p *planner) number() {
	pods, services := map[string]bool{}, map[string]bool{}
	for _, pod := range p.pods {
		pods[pod.w.Ref.Namespace+"/"+pod.w.Ref.Name] = true
	}
	for _, s := range p.snap.Services {
		services[serviceKey(s)] = true
	}
	p.numbers.keep(pods, services)
	for i, pod := range p.pods {
		n, ok := 0, i < MaxPods
		if ok {
			n, ok = p.numbers.podNumber(pod.w.Ref)
		}
		if !ok {
			pod.spec.Blocked = fmt.Sprintf("this machine runs %d pods at most", MaxPods)
			p.problem(mesh.Error, pod.w, pod.w.Origin, fmt.Sprintf("run %s: %s", pod.w.Owner, pod.spec.Blocked))
			continue
		}
		pod.number = n
		pod.w.Addresses = []string{p.network.pod(n).String()}
	}
}

// planPod fills in the spec of one pod.
func (p *planner) planPod(pod *planned) {
	s := &pod.spec
	s.Workload, s.Dir = pod.w, p.paths.pod(pod.w.Ref.Namespace, pod.w.Ref.Name)
	s.Restart, s.Grace = pod.w.RestartPolicy, pod.w.TerminationGrace
	if s.Restart == "" {
		s.Restart = "Always"
	}
	if s.Grace <= 0 {
		s.Grace = 30 * time.Second
	}
	if pod.number == 0 {
		return
	}
	if pod.w.Capture == mesh.CaptureAmbient {
		p.problem(mesh.Warning, pod.w, pod.w.Origin, fmt.Sprintf("run %s: ambient capture is not done here, it runs without a sidecar", pod.w.Owner))
	}
	s.Host = p.numbers.pod(pod.number)
	switch {
	case !p.explicit():
		p.planNet(pod)
	case pod.meshed():
		s.AppAddr = p.network.app(pod.number)
	default:
		s.AppAddr = p.network.pod(pod.number)
	}
	pod.doors = p.planDoors(pod)
	p.planVolumes(pod)
	e := p.serviceEnv(pod)
	p.planContainers(pod, e)
	if pod.meshed() {
		p.planSidecar(pod)
	}
	s.Fingerprint = fingerprint(pod)
}

// selects says whether a Service's selector matches the pod.
func selects(s *mesh.Service, pod *planned) bool {
	if s.Ref.Namespace != pod.w.Ref.Namespace || len(s.Selector) == 0 {
		return slices.ContainsFunc(s.Bound, func(w *mesh.Workload) bool { return w.Ref == pod.w.Ref || w.Ref == pod.w.Owner })
	}
	return mesh.Selects(s.Selector, pod.w.Labels)
}

func serviceKey(s *mesh.Service) string { return s.Ref.Namespace + "/" + s.Hostname }

// wildcard says whether a host stands for many.
func wildcard(host string) bool { return strings.HasPrefix(host, "*") }
