package mesh

// Selects says whether labels have every label of a selector, with its value. An empty selector selects everything: where one
// that is not written means nothing at all, that is for the caller to see first.
func Selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// Selects says whether the selector means a service port.
func (s PolicyPort) Selects(p *Port) bool {
	return s.Number != 0 && s.Number == p.Number || s.Name != "" && s.Name == p.Name
}

// CoversPort says whether the target covers a port of the services that it means.
func (t *PolicyTarget) CoversPort(p *Port) bool {
	for _, s := range t.Ports {
		if s.Selects(p) {
			return true
		}
	}
	return len(t.Ports) == 0
}

// Selects says whether the entry is for a service port. Entries name ports up to 1.3 (semantics L30).
func (e *PortPolicy) Selects(port *Port, d Dialect) bool {
	if e.Name != "" && e.Number == 0 {
		return d.Legacy() && d < Dialect14 && e.Name == port.Name
	}
	return e.Number == port.Number
}

// Mode is what the policy wants of its peers: the mode of the first mTLS element, DISABLE without one (semantics L12), and
// DISABLE of no policy at all.
func (p *Policy) Mode() Mode {
	if p == nil {
		return ModeDisable
	}
	for _, peer := range p.Peers {
		if peer.MTLS {
			return peer.Mode
		}
	}
	return ModeDisable
}
