package web

import (
	"cmp"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Outside is the client that is a caller without a sidecar.
const Outside = "outside"

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

// KindWord is the word that names a kind in a client that we print.
func KindWord(k mesh.Kind) string {
	short := map[mesh.Kind]string{mesh.KindDeployment: "deploy", mesh.KindStatefulSet: "sts", mesh.KindDaemonSet: "ds",
		mesh.KindReplicaSet: "rs", mesh.KindWorkloadEntry: "we"}
	if s, ok := short[k]; ok {
		return s
	}
	return strings.ToLower(string(k))
}

// Asked is a client as a person types it, taken apart.
type Asked struct {
	Kind      mesh.Kind // "" where not said
	Namespace string    // "" where not said
	Name      string
}

// FindClients lists the workloads that arg means, as the command line takes it: POD[.NS], NS/POD, deploy/NAME[.NS] (or another
// kind). A name means, in this order: a pod of that name; another workload of that name; the workload whose controller would
// generate it. namespace is where to look, "" everywhere; in is the one that arg or namespace named.
func FindClients(s *mesh.Snapshot, arg, namespace string) (found []*mesh.Workload, in string) {
	for _, q := range Readings(arg, namespace) {
		if found = q.workloads(s); len(found) > 0 {
			return found, q.Namespace
		}
	}
	return nil, ""
}

// Readings lists the ways to take arg apart, likeliest first. A pod's name may hold dots, and a namespace may be called
// like a kind.
func Readings(arg, namespace string) []Asked {
	var out []Asked
	dotted := func(kind mesh.Kind, s2 string) {
		out = append(out, Asked{kind, namespace, s2})
		if i := strings.LastIndexByte(s2, '.'); i > 0 {
			out = append(out, Asked{kind, s2[i+1:], s2[:i]})
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
	return append(out, Asked{"", before, after})
}

// workloads lists what fits best.
func (q Asked) workloads(s *mesh.Snapshot) []*mesh.Workload {
	best, out := 0, []*mesh.Workload(nil)
	for _, w := range s.Workloads {
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

// Alike says whether workloads are all pods of one controller, so that any of them will do.
func Alike(list []*mesh.Workload) bool {
	return !slices.ContainsFunc(list, func(w *mesh.Workload) bool { return w.Owner.IsZero() || w.Owner != list[0].Owner })
}

// fit says how well a workload answers: 0 not at all; a generated name the better the longer the controller's name is
// (reviews-v1-6d5f-x2z is of reviews-v1, not of reviews); then a workload's own name; then a pod's.
func (q Asked) fit(w *mesh.Workload) int {
	const (
		ownName = 1 << 10
		podName = 1 << 11
	)
	switch {
	case q.Namespace != "" && w.Ref.Namespace != q.Namespace, q.Kind != "" && q.Kind != mesh.KindPod && w.Ref.Kind != q.Kind && w.Owner.Kind != q.Kind:
		return 0
	case w.Ref.Name == q.Name && w.Ref.Kind == mesh.KindPod:
		return podName
	case w.Ref.Name == q.Name && q.Kind != mesh.KindPod:
		return ownName
	case (q.Kind == "" || q.Kind == mesh.KindPod) && generated(w.Ref, q.Name):
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

// ClientName is how we print a client, so that it can be pasted back: NAME.NS, with its kind where another workload of
// the namespace has the same name.
func ClientName(s *mesh.Snapshot, c resolve.Client) string {
	if c.Workload == nil {
		return Outside
	}
	r := c.Workload.Ref
	name := r.Name + "." + r.Namespace
	// Workloads are in order of namespace and name, so namesakes are neighbours.
	i, _ := slices.BinarySearchFunc(s.Workloads, r, func(w *mesh.Workload, r mesh.Ref) int {
		return cmp.Or(cmp.Compare(w.Ref.Namespace, r.Namespace), cmp.Compare(w.Ref.Name, r.Name))
	})
	if i+1 < len(s.Workloads) {
		if next := s.Workloads[i+1].Ref; next.Name == r.Name && next.Namespace == r.Namespace {
			return KindWord(r.Kind) + "/" + name
		}
	}
	return name
}
