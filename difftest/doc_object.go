package difftest

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Doc is one Kubernetes or Istio object as JSON.
type Doc map[string]any

// Kind is the object's kind.
func (d Doc) Kind() string { return text(d["kind"]) }

// Name is metadata.name.
func (d Doc) Name() string { return text(object(d["metadata"])["name"]) }

// Namespace is metadata.namespace.
func (d Doc) Namespace() string { return text(object(d["metadata"])["namespace"]) }

// Spec is the object's spec; nil where it has none.
func (d Doc) Spec() map[string]any { return object(d["spec"]) }

// Labels are metadata.labels.
func (d Doc) Labels() map[string]string { return labels(object(d["metadata"])["labels"]) }

// Sidecar says whether the object is a running pod with a sidecar.
func (d Doc) Sidecar() bool {
	if d.Kind() != "Pod" {
		return false
	}
	for _, c := range list(d.Spec()["containers"]) {
		if text(object(c)["name"]) == "istio-proxy" {
			return true
		}
	}
	return false
}

// Render gives the YAML of a mesh.
func Render(docs []Doc) []byte {
	var b bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		y, err := yaml.Marshal(map[string]any(d))
		if err != nil {
			panic(fmt.Sprintf("render %s %s: %v", d.Kind(), d.Name(), err))
		}
		b.Write(y)
	}
	return b.Bytes()
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func labels(v any) map[string]string {
	out := map[string]string{}
	for k, e := range object(v) {
		out[k] = text(e)
	}
	return out
}

func number(v any) int {
	n, _ := v.(int)
	return n
}
