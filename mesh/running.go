package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"reflect"
	"slices"
	"time"
)

// WithRunning gives the mesh as an Engine runs it: a template (or a Pod of the manifests) that has pods is replaced by
// them, and a Service without an address gets the engine's. What has no pod stays as it is, and so does what the engine
// does not run. A pod whose containers have ended is none. The Version is one of both contents: the same manifests with
// the same pods have the same one. A nil r gives s itself.
func (s *Snapshot) WithRunning(r *Running) *Snapshot {
	if r == nil {
		return s
	}
	out := *s
	pods := runningPods(r.Pods)
	out.Workloads, out.Unready = nil, nil
	for i := range r.Pods {
		if p := &r.Pods[i]; !p.Ready && p.runs() {
			out.Unready = append(out.Unready, p.Workload.Ref)
		}
	}
	slices.SortFunc(out.Unready, Ref.Compare)
	for _, w := range s.Workloads {
		if len(pods[w.Ref]) == 0 {
			out.Workloads = append(out.Workloads, w)
		}
	}
	for _, list := range pods {
		out.Workloads = append(out.Workloads, list...)
	}
	slices.SortFunc(out.Workloads, func(x, y *Workload) int {
		return cmp.Or(cmp.Compare(x.Ref.Namespace, y.Ref.Namespace), cmp.Compare(x.Ref.Name, y.Ref.Name), cmp.Compare(x.Ref.Kind, y.Ref.Kind))
	})
	out.Services = make([]*Service, len(s.Services))
	for i, service := range s.Services {
		out.Services[i] = service.withRunning(pods, r.ServiceIPs[service.Ref])
	}
	out.Version = runningVersion(s.Version, &out, r.ServiceIPs)
	return &out
}

// runningPods gives the pods by the workload of the manifests that they are of.
func runningPods(list []Pod) map[Ref][]*Workload {
	out := map[Ref][]*Workload{}
	for i := range list {
		p := &list[i]
		if !p.runs() {
			continue
		}
		of := p.Workload.Owner
		if of.IsZero() {
			of = p.Workload.Ref
		}
		out[of] = append(out[of], p.Workload)
	}
	return out
}

// runs says whether the pod is one of the mesh: its containers have not ended.
func (p *Pod) runs() bool {
	return p.Workload != nil && p.Phase != PhaseSucceeded && p.Phase != PhaseFailed
}

// withRunning gives the service with an address, and with pods in place of the workloads that it is bound to.
func (s *Service) withRunning(pods map[Ref][]*Workload, ip string) *Service {
	out := *s
	if len(s.Addresses) == 0 && ip != "" {
		out.Addresses = []string{ip}
	}
	if len(s.Bound) > 0 {
		out.Bound = nil
		for _, w := range s.Bound {
			if list := pods[w.Ref]; len(list) > 0 {
				out.Bound = append(out.Bound, list...)
			} else {
				out.Bound = append(out.Bound, w)
			}
		}
	}
	return &out
}

// runningVersion hashes the version of the manifests with all pods, whether they are ready, and addresses of services.
// Origins are no content.
func runningVersion(version string, s *Snapshot, ips map[Ref]string) string {
	h := sha256.New()
	hashText(h, version)
	for _, w := range s.Workloads {
		if w.Ref.Kind == KindPod {
			hashContent(h, reflect.ValueOf(*w))
			hashContent(h, reflect.ValueOf(s.Ready(w)))
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(ips), Ref.Compare) {
		hashText(h, ref.String())
		hashText(h, ips[ref])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func hashText(h hash.Hash, text string) {
	hashNumber(h, uint64(len(text)))
	h.Write([]byte(text))
}

func hashNumber(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

// hashContent hashes all that a workload is made of, but for Origins. Maps are taken in order of their keys.
func hashContent(h hash.Hash, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		hashText(h, v.String())
	case reflect.Struct:
		switch of := v.Interface().(type) {
		case Origin:
			return
		case time.Time:
			hashNumber(h, uint64(of.UnixNano()))
			return
		}
		for i := range v.NumField() {
			hashContent(h, v.Field(i))
		}
	case reflect.Slice:
		hashNumber(h, uint64(v.Len()))
		for i := range v.Len() {
			hashContent(h, v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		hashNumber(h, uint64(len(keys)))
		for _, k := range keys {
			hashText(h, k.String())
			hashContent(h, v.MapIndex(k))
		}
	case reflect.Pointer:
		if v.IsNil() {
			hashNumber(h, 0)
			return
		}
		hashNumber(h, 1)
		hashContent(h, v.Elem())
	default:
		hashText(h, fmt.Sprint(v.Interface()))
	}
}
