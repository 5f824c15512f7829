package mesh

// ProxyConfig is Istio's object of that name: what sidecars are started with.
type ProxyConfig struct {
	Object
	// Selector has labels of pods of its namespace; nil selects all of them, and one without labels selects none.
	Selector map[string]string
	// Concurrency is how many processors a sidecar uses at most, 0 all there are; nil where nothing is said.
	Concurrency *int
}

// ProxyConfigAnnotation is the annotation of a pod that holds the YAML of Istio's proxy configuration.
const ProxyConfigAnnotation = "proxy.istio.io/config"

// Concurrency is how many processors the sidecar of a workload uses at most, 0 all there are; nil where nobody says. As in
// Istio, the first that says it counts: the oldest ProxyConfig of its namespace that selects its labels, its annotation, the
// oldest of its namespace without a selector, the oldest of the root namespace without one, the mesh's configuration.
func (s *Snapshot) Concurrency(w *Workload) *int {
	selecting := func(c *ProxyConfig) bool { return len(c.Selector) > 0 && Selects(c.Selector, w.Labels) }
	without := func(c *ProxyConfig) bool { return c.Selector == nil }
	for _, n := range []*int{
		s.proxyConfig(w.Ref.Namespace, selecting), w.Concurrency, s.proxyConfig(w.Ref.Namespace, without),
		s.proxyConfig(s.Config.RootNamespace, without), s.Config.Concurrency,
	} {
		if n != nil {
			return n
		}
	}
	return nil
}

// proxyConfig gives what the oldest object of a namespace says that is as wanted.
func (s *Snapshot) proxyConfig(namespace string, wanted func(*ProxyConfig) bool) *int {
	for _, c := range s.ProxyConfigs {
		if c.Ref.Namespace == namespace && wanted(c) {
			return c.Concurrency
		}
	}
	return nil
}
