package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// outsideWord is the client that is a caller without a sidecar.
const outsideWord = "outside"

// kindWords are the kinds of a client as kubectl abbreviates them.
func kindWords() map[string]mesh.Kind {
	return map[string]mesh.Kind{
		"po": mesh.KindPod, "pod": mesh.KindPod, "pods": mesh.KindPod,
		"deploy": mesh.KindDeployment, "deployment": mesh.KindDeployment, "deployments": mesh.KindDeployment,
		"sts": mesh.KindStatefulSet, "statefulset": mesh.KindStatefulSet, "statefulsets": mesh.KindStatefulSet,
		"ds": mesh.KindDaemonSet, "daemonset": mesh.KindDaemonSet, "daemonsets": mesh.KindDaemonSet,
		"rs": mesh.KindReplicaSet, "replicaset": mesh.KindReplicaSet, "replicasets": mesh.KindReplicaSet,
		"job": mesh.KindJob, "jobs": mesh.KindJob,
		"cj": mesh.KindCronJob, "cronjob": mesh.KindCronJob, "cronjobs": mesh.KindCronJob,
		"we": mesh.KindWorkloadEntry, "workloadentry": mesh.KindWorkloadEntry, "workloadentries": mesh.KindWorkloadEntry,
	}
}

// kindShort is the word that names a kind in a client that we print.
func kindShort(k mesh.Kind) string {
	short := map[mesh.Kind]string{mesh.KindDeployment: "deploy", mesh.KindStatefulSet: "sts", mesh.KindDaemonSet: "ds",
		mesh.KindReplicaSet: "rs", mesh.KindWorkloadEntry: "we"}
	if s, ok := short[k]; ok {
		return s
	}
	return strings.ToLower(string(k))
}

// asked is a client as a person types it, taken apart.
type asked struct {
	kind      mesh.Kind // "" where not said
	namespace string    // "" where not said
	name      string
}

// client finds the workload that arg means: POD[.NS], NS/POD, deploy/NAME[.NS] (or another kind), or "outside".
//
// A name means, in this order: a pod of that name; another workload of that name; the workload whose controller would
// generate it. The namespace is the one in arg, else that of -n, else default if the name is there, else the only one
// that has it.
func (a *app) client(l *loaded, arg string) (resolve.Client, error) {
	if arg == outsideWord {
		return resolve.Client{}, nil
	}
	for _, q := range a.readings(l.snap, arg) {
		found := l.workloads(q)
		if len(found) == 0 {
			continue
		}
		w, err := a.choose(arg, q, found)
		return resolve.Client{Workload: w}, err
	}
	try := ""
	if near := l.nearestClient(arg); near != "" {
		try = a.again(arg, near)
	}
	return resolve.Client{}, usage(fmt.Errorf("find client %q: no such workload", arg), try)
}

// readings lists the ways to take arg apart, likeliest first. A pod's name may hold dots, and a namespace may be called
// like a kind.
func (a *app) readings(s *mesh.Snapshot, arg string) []asked {
	var out []asked
	dotted := func(kind mesh.Kind, s2 string) {
		out = append(out, asked{kind, a.namespace(), s2})
		if i := strings.LastIndexByte(s2, '.'); i > 0 {
			out = append(out, asked{kind, s2[i+1:], s2[:i]})
		}
	}
	before, after, slash := strings.Cut(arg, "/")
	if !slash {
		dotted("", arg)
		return out
	}
	if kind, ok := kindWords()[strings.ToLower(before)]; ok {
		dotted(kind, after)
	}
	return append(out, asked{"", before, after})
}

// namespace gives -n, or "" where every namespace is meant.
func (a *app) namespace() string {
	if a.flags.allNamespaces {
		return ""
	}
	return a.flags.namespace
}

// choose picks one of several workloads that fit equally well.
func (a *app) choose(arg string, q asked, found []*mesh.Workload) (*mesh.Workload, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	if !slices.ContainsFunc(found, func(w *mesh.Workload) bool { return w.Owner.IsZero() || w.Owner != found[0].Owner }) {
		return found[0], nil // all are of one controller, and alike
	}
	var names []string
	var inDefault []*mesh.Workload
	for _, w := range found {
		names = append(names, kindShort(w.Ref.Kind)+"/"+w.Ref.Name+"."+w.Ref.Namespace)
		if w.Ref.Namespace == "default" {
			inDefault = append(inDefault, w)
		}
	}
	if q.namespace == "" && !a.flags.allNamespaces && len(inDefault) == 1 {
		a.note("oarlock: %q is in several namespaces; this is the one in default (-n chooses)", arg)
		return inDefault[0], nil
	}
	return nil, usage(fmt.Errorf("find client %q: it could be %s", arg, someOf(names)), a.again(arg, names[0]))
}

// someOf lists names for a message, not endlessly.
func someOf(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" or %d others", len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// workloads lists what fits best.
func (l *loaded) workloads(q asked) []*mesh.Workload {
	best, out := 0, []*mesh.Workload(nil)
	for _, w := range l.snap.Workloads {
		fit := q.fit(w)
		if fit > best {
			best, out = fit, out[:0]
		}
		if fit > 0 && fit == best {
			out = append(out, w)
		}
	}
	return out
}

// fit says how well a workload answers: 0 not at all; a generated name the better the longer the controller's name is
// (reviews-v1-6d5f-x2z is of reviews-v1, not of reviews); then a workload's own name; then a pod's.
func (q asked) fit(w *mesh.Workload) int {
	const (
		ownName = 1 << 10
		podName = 1 << 11
	)
	switch {
	case q.namespace != "" && w.Ref.Namespace != q.namespace, q.kind != "" && q.kind != mesh.KindPod && w.Ref.Kind != q.kind && w.Owner.Kind != q.kind:
		return 0
	case w.Ref.Name == q.name && w.Ref.Kind == mesh.KindPod:
		return podName
	case w.Ref.Name == q.name && q.kind != mesh.KindPod:
		return ownName
	case (q.kind == "" || q.kind == mesh.KindPod) && generated(w.Ref, q.name):
		return len(w.Ref.Name)
	case w.Ref.Kind == mesh.KindPod && !w.Owner.IsZero(): // of a running mesh: its controller answers by its pods
		return q.fit(&mesh.Workload{Object: mesh.Object{Ref: w.Owner}})
	}
	return 0
}

// generated says whether pod is a name that the controller w would give to a pod.
func generated(w mesh.Ref, pod string) bool {
	rest, ok := strings.CutPrefix(pod, w.Name+"-")
	if !ok {
		return false
	}
	parts := strings.Split(rest, "-")
	switch w.Kind {
	case mesh.KindDeployment:
		return len(parts) == 2 && hashLike(parts[0]) && lowerAlnum(parts[1])
	case mesh.KindStatefulSet:
		return len(parts) == 1 && digits(parts[0])
	case mesh.KindReplicaSet, mesh.KindDaemonSet:
		return len(parts) == 1 && len(parts[0]) == 5 && lowerAlnum(parts[0])
	case mesh.KindJob:
		last := parts[len(parts)-1]
		indexed := len(parts) == 2 && digits(parts[0])
		return (len(parts) == 1 || indexed) && len(last) == 5 && lowerAlnum(last)
	case mesh.KindCronJob:
		return len(parts) == 2 && digits(parts[0]) && lowerAlnum(parts[1])
	}
	return false
}

// hashLike tells a template hash from a word, so that web-api-gateway is not taken for a pod of web: hashes have digits
// or, as Kubernetes draws them, no vowels.
func hashLike(s string) bool {
	return lowerAlnum(s) && (strings.ContainsAny(s, "0123456789") || !strings.ContainsAny(s, "aeiou"))
}

func lowerAlnum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// clientName is how we print a client, so that it can be pasted back: NAME.NS, with its kind where another workload of
// the namespace has the same name.
func (l *loaded) clientName(c resolve.Client) string {
	if c.Workload == nil {
		return outsideWord
	}
	r := c.Workload.Ref
	name := r.Name + "." + r.Namespace
	// Workloads are in order of namespace and name, so namesakes are neighbours.
	i, _ := slices.BinarySearchFunc(l.snap.Workloads, r, func(w *mesh.Workload, r mesh.Ref) int {
		return cmp.Or(cmp.Compare(w.Ref.Namespace, r.Namespace), cmp.Compare(w.Ref.Name, r.Name))
	})
	if i+1 < len(l.snap.Workloads) {
		if next := l.snap.Workloads[i+1].Ref; next.Name == r.Name && next.Namespace == r.Namespace {
			return kindShort(r.Kind) + "/" + name
		}
	}
	return name
}

// splitPort takes the :PORT, a number or a name, off SERVICE:PORT.
func splitPort(arg string) (service, port string) {
	if i := strings.LastIndexByte(arg, ':'); i >= 0 {
		return arg[:i], arg[i+1:]
	}
	return arg, ""
}

// service finds the one service that name means: a short name (foo, foo.ns, foo.ns.svc), NS/NAME, or a full host.
// from is the namespace in which short names are looked up first.
func (a *app) service(l *loaded, name, from string) (*mesh.Service, error) {
	typed := name
	if ns, short, ok := strings.Cut(name, "/"); ok {
		name, from = short+"."+ns, ns
	}
	found := l.resolver.Services(name, from)
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return nil, a.noService(l, typed)
	}
	var hosts []string
	for _, s := range found {
		hosts = append(hosts, s.Hostname)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if len(hosts) == 1 {
		// Several ServiceEntries may hold one host; which one counts is the resolver's order.
		return found[0], nil
	}
	return nil, usage(fmt.Errorf("find service %q: it could be %s", typed, someOf(hosts)), a.againService(typed, hosts[0]))
}

// noService is the error for a name that no service has, with the nearest that one has.
func (a *app) noService(l *loaded, typed string) error {
	try := ""
	if near := l.nearestHost(typed); near != "" {
		try = a.againService(typed, near)
	}
	return usage(fmt.Errorf("find service %q: no such service", typed), try)
}

// againService is this command with another service, the port kept.
func (a *app) againService(typed, host string) string {
	for _, arg := range a.args {
		if rest, ok := strings.CutPrefix(arg, typed+":"); ok {
			return a.again(arg, host+":"+rest)
		}
	}
	return a.again(typed, host)
}

// lookupNamespace is where a client's short names start: -n, else its own namespace, else default.
func (a *app) lookupNamespace(c resolve.Client) string {
	switch {
	case a.namespace() != "":
		return a.namespace()
	case c.Workload != nil:
		return c.Workload.Ref.Namespace
	}
	return "default"
}

// port finds a port of s by number or name; arg is the argument that names it.
func (a *app) port(s *mesh.Service, arg, word string) (*mesh.Port, error) {
	var known []string
	for i := range s.Ports {
		p := &s.Ports[i]
		if number := fmt.Sprint(p.Number); word == number || word == p.Name && word != "" {
			return p, nil
		}
		known = append(known, portWord(p))
	}
	if len(known) == 0 {
		return nil, usage(fmt.Errorf("find port %q of %s: the service has no port", word, s.Hostname), "")
	}
	try := ""
	if p := nearestPort(s, word); p != nil {
		try = a.again(arg, fmt.Sprintf("%s:%d", strings.TrimSuffix(arg, ":"+word), p.Number))
	}
	return nil, usage(fmt.Errorf("find port %q of %s: it has %s", word, s.Hostname, strings.Join(known, ", ")), try)
}

// nearestPort gives the port that is most like a word, or the only one; nil where none is.
func nearestPort(s *mesh.Service, word string) *mesh.Port {
	if len(s.Ports) == 1 {
		return &s.Ports[0]
	}
	var names []string
	for i := range s.Ports {
		names = append(names, s.Ports[i].Name, fmt.Sprint(s.Ports[i].Number))
	}
	if i := slices.Index(names, nearest(word, names)); i >= 0 {
		return &s.Ports[i/2]
	}
	return nil
}

// portWord gives "9080 (http)".
func portWord(p *mesh.Port) string {
	if p.Name == "" {
		return fmt.Sprint(p.Number)
	}
	return fmt.Sprintf("%d (%s)", p.Number, p.Name)
}
