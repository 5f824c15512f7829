package difftest

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Answers maps a question, in words, to its answer. Two sides agree where their Answers are equal.
type Answers map[string]string

// notAsked, as Istio's answer, takes a question out of the comparison; as its answer about "outbound" it takes out every
// question about that target.
const notAsked = "not asked"

// Difference is one question on which the sides disagree; an empty answer means that a side has none.
type Difference struct {
	Question, Istio, Oarlock string
}

// Compare lists what differs: causes before effects (which service, which cluster, which endpoint), then in order of
// question.
func Compare(istio, oarlock Answers) []Difference {
	var out []Difference
	unasked := func(q string) bool {
		if istio[q] == notAsked {
			return true
		}
		target, _, ok := cutLast(q, `" `)
		return ok && istio[target+`" outbound`] == notAsked
	}
	for q, a := range istio {
		if b, ok := oarlock[q]; (a != b || !ok) && !unasked(q) {
			out = append(out, Difference{q, a, or(b, ok)})
		}
	}
	for q, b := range oarlock {
		if _, ok := istio[q]; !ok && !unasked(q) {
			out = append(out, Difference{q, or("", false), b})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(rank(a.Question), rank(b.Question)), cmp.Compare(a.Question, b.Question))
	})
	return out
}

// rank puts questions whose answers others follow from first.
func rank(question string) int {
	for i, word := range []string{" sees ", " listens ", `" outbound`, `" to `} {
		if strings.Contains(question, word) {
			return i
		}
	}
	return 4
}

func or(answer string, ok bool) string {
	if !ok {
		return "(no answer)"
	}
	return answer
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Question is one target as one client sees it.
type Question struct {
	Client string // pod.namespace
	Host   string
	Port   int
	Subset string
}

func (q Question) key(what string) string {
	return fmt.Sprintf("%s -> %s:%d subset %q %s", q.Client, q.Host, q.Port, q.Subset, what)
}

func (q Question) scope() string { return fmt.Sprintf("%s sees %s", q.Client, q.Host) }

func serverKey(pod Doc, port int) string {
	return fmt.Sprintf("%s.%s listens on %d", pod.Name(), pod.Namespace(), port)
}

// serverPorts are the workload ports asked about: target ports, service ports that are no target ports, and one that
// nobody declares.
func serverPorts() []int { return []int{80, 90, 8080, 9090, 7070} }

// targets lists every host, port and subset that a mesh mentions, in order. Left out are UDP ports, which no sidecar
// captures, and ExternalName Services, which are names for something else: oarlock follows them, Istio has no cluster.
func targets(docs []Doc) []Question {
	subsets := []string{""}
	for _, d := range docs {
		if d.Kind() == "DestinationRule" {
			for _, s := range list(d.Spec()["subsets"]) {
				subsets = append(subsets, text(object(s)["name"]))
			}
		}
	}
	sort.Strings(subsets)
	subsets = slices.Compact(subsets)
	var out []Question
	udp := map[Question]bool{} // no sidecar captures it
	alias := map[string]bool{}
	for _, d := range docs {
		if d.Spec()["type"] == "ExternalName" {
			alias[kubeHost(d)] = true
		}
		for _, h := range hosts(d) {
			for _, p := range list(d.Spec()["ports"]) {
				q := Question{Host: h, Port: servicePort(d, object(p))}
				udp[q] = udp[q] || object(p)["protocol"] == "UDP"
				for _, s := range subsets {
					q.Subset = s
					out = append(out, q)
				}
			}
		}
	}
	out = slices.DeleteFunc(out, func(q Question) bool {
		q.Subset = ""
		return udp[q] || alias[q.Host]
	})
	slices.SortFunc(out, func(a, b Question) int { return strings.Compare(a.key(""), b.key("")) })
	return slices.Compact(out)
}

// hosts are the names under which an object can be called; nil where it is no service.
func hosts(d Doc) []string {
	switch d.Kind() {
	case "Service":
		return []string{kubeHost(d)}
	case "ServiceEntry":
		var out []string
		for _, h := range list(d.Spec()["hosts"]) {
			out = append(out, text(h))
		}
		return out
	}
	return nil
}

func kubeHost(d Doc) string { return d.Name() + "." + d.Namespace() + ".svc." + clusterDomain }

func servicePort(d Doc, port map[string]any) int {
	if d.Kind() == "Service" {
		return number(port["port"])
	}
	return number(port["number"])
}
