package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
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
	b := appendText(nil, version)
	for _, w := range s.Workloads {
		if w.Ref.Kind == KindPod {
			b = appendContent(b, reflect.ValueOf(w))
			b = appendContent(b, reflect.ValueOf(s.Ready(w)))
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(ips), Ref.Compare) {
		b = appendText(appendText(b, ref.String()), ips[ref])
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

func appendText(b []byte, text string) []byte {
	return append(appendNumber(b, uint64(len(text))), text...)
}

func appendNumber(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// appendContent writes down all that a workload is made of, but for Origins. Maps are taken in order of their keys. Every change
// does so for every pod before a sidecar hears of it.
func appendContent(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return appendText(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return appendNumber(b, uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return appendNumber(b, v.Uint())
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[Origin]():
			return b
		case reflect.TypeFor[time.Time]():
			return appendNumber(b, uint64(v.Interface().(time.Time).UnixNano()))
		}
		for i := range v.NumField() {
			b = appendContent(b, v.Field(i))
		}
	case reflect.Slice:
		b = appendNumber(b, uint64(v.Len()))
		for i := range v.Len() {
			b = appendContent(b, v.Index(i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		b = appendNumber(b, uint64(len(keys)))
		for _, k := range keys {
			b = appendContent(appendText(b, k.String()), v.MapIndex(k))
		}
	case reflect.Pointer:
		if b = strconv.AppendBool(b, v.IsNil()); !v.IsNil() {
			b = appendContent(b, v.Elem())
		}
	default:
		b = appendText(b, fmt.Sprint(v.Interface()))
	}
	return b
}
