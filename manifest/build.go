package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/mesh"
)

// builder joins the objects of all documents into a Snapshot.
type builder struct {
	opt      Options
	snap     *mesh.Snapshot
	problems []mesh.Problem

	unknown    map[string]int
	unenforced []mesh.Unenforced
	objects    []*object // in order of file and line, no two with one Ref
	byRef      map[mesh.Ref]*object
	count      map[mesh.Kind]int
	config     *configFacts
	namespaces map[string]*mesh.Namespace
	workloads  []*workloadFacts
	slices     []*sliceFacts
}

// note adds a problem with an object.
func (b *builder) note(sev mesh.Severity, o *mesh.Object, at mesh.Origin, hint, text string) {
	b.problems = append(b.problems, mesh.Problem{Severity: sev, Origin: at, Ref: o.Ref,
		Message: "read " + o.Ref.String() + ": " + text, Hint: hint})
}

func (b *builder) warn(o *mesh.Object, hint, format string, args ...any) {
	b.note(mesh.Warning, o, o.Origin, hint, fmt.Sprintf(format, args...))
}

// add takes over one document. Of objects with the same Ref, whatever their API versions, the first one is kept.
func (b *builder) add(d *decoded) {
	if b.byRef == nil {
		b.byRef, b.unknown, b.count = map[mesh.Ref]*object{}, map[string]int{}, map[mesh.Kind]int{}
	}
	b.problems = append(b.problems, d.problems...)
	for i := range d.objects {
		o := &d.objects[i]
		if o.unknown != "" {
			b.unknown[o.unknown]++
			if u, ok := o.typed.(mesh.Unenforced); ok {
				b.unenforced = append(b.unenforced, u)
			}
			continue
		}
		if first := b.byRef[o.Ref]; first != nil {
			b.note(mesh.Error, &o.Object, o.Origin, "remove one of the two; the first one counts", "it is defined already at "+first.Origin.String())
			continue
		}
		b.byRef[o.Ref] = o
		b.count[o.Ref.Kind]++
		b.objects = append(b.objects, o)
	}
}

// build makes the Snapshot, but for its Version.
func (b *builder) build() {
	b.snap = &mesh.Snapshot{Config: mesh.DefaultConfig(), Unknown: map[string]int{}, Unenforced: b.unenforced}
	for name, n := range b.unknown {
		b.snap.Unknown[name] = n
		b.snap.Documents += n
	}
	b.chooseConfig()
	b.snap.Dialect = b.chooseDialect(b.opt.Dialect)
	b.namespaces = map[string]*mesh.Namespace{}
	for _, o := range b.objects {
		if b.admit(o) {
			b.snap.Documents++
			b.place(o)
		}
	}
	b.joinWorkloads()
	b.joinServices()
	b.sort()
}

// chooseConfig takes the ConfigMap istio of istio-system, else the first that holds a MeshConfig, by revision and
// namespace.
func (b *builder) chooseConfig() {
	var all []*configFacts
	for _, o := range b.objects {
		if f, ok := o.typed.(*configFacts); ok {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(x, y *configFacts) int {
		return cmp.Or(cmp.Compare(x.rank(), y.rank()), x.Ref.Compare(y.Ref))
	})
	for i, f := range all {
		if i == 0 {
			b.config, b.snap.Config = f, f.config
			continue
		}
		b.warn(&f.Object, "", "it is not read, because %s is the mesh's", all[0].Ref)
	}
}

// rank puts the ConfigMap without a revision before those of one, and that of istio-system before others.
func (f *configFacts) rank() int {
	n := 0
	if f.Ref.Name != meshConfigName {
		n += 2
	}
	if f.Ref.Namespace != mesh.DefaultConfig().RootNamespace {
		n++
	}
	return n
}

// place puts an object where it belongs in the Snapshot.
func (b *builder) place(o *object) {
	s := b.snap
	s.Unenforced = append(s.Unenforced, o.idle...)
	switch t := o.typed.(type) {
	case *mesh.Namespace:
		s.Namespaces = append(s.Namespaces, t)
		b.namespaces[t.Ref.Name] = t
	case *mesh.Service:
		t.Hostname = t.Ref.Name + "." + t.Ref.Namespace + ".svc." + s.Config.ClusterDomain
		s.Services = append(s.Services, t)
	case []*mesh.Service:
		s.Services = append(s.Services, t...)
	case *workloadFacts:
		b.workloads = append(b.workloads, t)
	case *mesh.Workload:
		s.Workloads = append(s.Workloads, t)
	case *sliceFacts:
		b.slices = append(b.slices, t)
	case *mesh.PeerAuthentication:
		b.foreignKind(&o.Object)
		s.PeerAuthentications = append(s.PeerAuthentications, t)
	case *mesh.Policy:
		b.foreignKind(&o.Object)
		s.Policies = append(s.Policies, t)
		if s.Dialect.Legacy() && unenforcedPolicy(t, o.body) {
			s.Unenforced = append(s.Unenforced, mesh.Unenforced{Ref: t.Ref, Origin: t.Origin,
				Why: "its mutual TLS is enforced, JSON web tokens are not checked"})
		}
	case *mesh.DestinationRule:
		s.DestinationRules = append(s.DestinationRules, t)
	case *mesh.Sidecar:
		s.Sidecars = append(s.Sidecars, t)
	case *mesh.VirtualService:
		s.VirtualServices = append(s.VirtualServices, t)
	case *mesh.Gateway:
		s.Gateways = append(s.Gateways, t)
	case *mesh.ProxyConfig:
		s.ProxyConfigs = append(s.ProxyConfigs, t)
	case *mesh.ConfigMap:
		s.ConfigMaps = append(s.ConfigMaps, t)
	case *configFacts:
		s.ConfigMaps = append(s.ConfigMaps, t.content)
		if t == b.config {
			s.Unenforced = append(s.Unenforced, t.idle...)
		}
	case *mesh.Secret:
		s.Secrets = append(s.Secrets, t)
	case nil:
		if o.Ref.Kind == mesh.KindServiceAccount {
			s.ServiceAccounts = append(s.ServiceAccounts, o.Ref)
		}
	}
}

// sort gives every slice the order that mesh.Snapshot promises.
func (b *builder) sort() {
	s := b.snap
	slices.SortFunc(s.Namespaces, func(x, y *mesh.Namespace) int { return cmp.Compare(x.Ref.Name, y.Ref.Name) })
	slices.SortFunc(s.ServiceAccounts, mesh.Ref.Compare)
	slices.SortStableFunc(s.Services, func(x, y *mesh.Service) int {
		return cmp.Or(cmp.Compare(x.Hostname, y.Hostname), cmp.Compare(x.Ref.Namespace, y.Ref.Namespace), x.Ref.Compare(y.Ref))
	})
	slices.SortFunc(s.Workloads, func(x, y *mesh.Workload) int {
		return cmp.Or(cmp.Compare(x.Ref.Namespace, y.Ref.Namespace), cmp.Compare(x.Ref.Name, y.Ref.Name),
			cmp.Compare(x.Ref.Kind, y.Ref.Kind))
	})
	sortByAge(s.PeerAuthentications, func(x *mesh.PeerAuthentication) *mesh.Object { return &x.Object })
	sortByAge(s.Policies, func(x *mesh.Policy) *mesh.Object { return &x.Object })
	sortByAge(s.DestinationRules, func(x *mesh.DestinationRule) *mesh.Object { return &x.Object })
	sortByAge(s.Sidecars, func(x *mesh.Sidecar) *mesh.Object { return &x.Object })
	sortByAge(s.VirtualServices, func(x *mesh.VirtualService) *mesh.Object { return &x.Object })
	sortByAge(s.ProxyConfigs, func(x *mesh.ProxyConfig) *mesh.Object { return &x.Object })
	slices.SortFunc(s.Gateways, func(x, y *mesh.Gateway) int { return x.Ref.Compare(y.Ref) })
	b.sortStored()
}

func sortByAge[T any](list []T, object func(T) *mesh.Object) {
	slices.SortFunc(list, func(x, y T) int {
		a, b := object(x), object(y)
		return cmp.Or(a.Older(b), a.Ref.Compare(b.Ref))
	})
}
