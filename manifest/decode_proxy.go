package manifest

import (
	"math"
	"strconv"

	"github.com/oarlock/oarlock/mesh"
)

func (c *checker) proxyConfig(o mesh.Object, v *value) any {
	spec := v.get("spec")
	p := &mesh.ProxyConfig{Object: o, Concurrency: c.concurrency(spec.get("concurrency"), "spec.concurrency")}
	if s := spec.get("selector"); s != nil {
		if p.Selector = s.labels("matchLabels"); p.Selector == nil {
			p.Selector = map[string]string{} // it selects nothing
		}
	}
	return p
}

// proxyAnnotation reads what a pod says of its sidecar. What Oarlock does not read of it is nobody's mistake; what is no YAML
// Istio passes over.
func (c *checker) proxyAnnotation(w *mesh.Workload, meta *value) {
	text := meta.get("annotations").get(mesh.ProxyConfigAnnotation)
	if text == nil || text.kind != textValue {
		return
	}
	v, err := parseChunk(c.innerChunk(text))
	if err != nil || v != nil && v.kind != mapValue && v.kind != nullValue {
		c.warn(text, "write it like concurrency: 2", "annotation %s is no mapping in YAML, and is ignored", mesh.ProxyConfigAnnotation)
		return
	}
	if v = v.get("concurrency"); v != nil {
		w.Concurrency = c.concurrency(&value{kind: v.kind, text: v.text, int: v.int, float: v.float, line: text.line, col: text.col},
			"concurrency of annotation "+mesh.ProxyConfigAnnotation)
	}
}

// concurrency reads a number of processors, which may be written as text; nil where it is missing or none, which is said.
func (c *checker) concurrency(v *value, what string) *int {
	if v == nil {
		return nil
	}
	n, ok := v.whole()
	if v.kind == textValue {
		var err error
		n, err = strconv.ParseInt(v.text, 10, 32)
		ok = err == nil
	}
	if !ok || n < 0 || n > math.MaxInt32 {
		c.warn(v, "write a number of processors, 0 for all", "%s wants a number of processors, not %s, and is ignored", what, v.show())
		return nil
	}
	out := int(n)
	return &out
}
