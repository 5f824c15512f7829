package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A chainIndex finds the filter chain of a connection as Envoy does: by destination port, then the longest prefix, the
// server name, the transport protocol and the application protocol. Each step keeps the most specific chains and never
// goes back, so a chain for a port hides those for every port even if it does not match in the end.
type chainIndex struct {
	byPort map[uint16][]*chain // 0: those that name no port
}

func newChainIndex(chains []*chain) (*chainIndex, error) {
	ix := &chainIndex{byPort: map[uint16][]*chain{}}
	seen := make(map[matchKey]string, 2*len(chains))
	for _, c := range chains {
		for _, key := range c.Match.keys() {
			if other, ok := seen[key]; ok {
				return nil, fmt.Errorf("filter chain %q has the same match as %q", c.Name, other)
			}
			seen[key] = c.Name
		}
		ix.byPort[c.Match.Port] = append(ix.byPort[c.Match.Port], c)
	}
	return ix, nil
}

// matchKey is one combination of what a chain matches.
type matchKey struct {
	port                          uint16
	prefix, name, transport, alpn string
}

// keys lists what a chain matches.
func (m *ChainMatch) keys() []matchKey {
	or := func(s []string) []string {
		if len(s) == 0 {
			return []string{""}
		}
		return s
	}
	var prefixes []string
	for _, p := range m.Prefixes {
		prefixes = append(prefixes, p.Masked().String())
	}
	var out []matchKey
	for _, p := range or(prefixes) {
		for _, n := range or(m.Names) {
			for _, a := range or(m.ALPN) {
				out = append(out, matchKey{m.Port, p, n, m.Transport, a})
			}
		}
	}
	return out
}

// find gives the chain for a connection, nil where there is none.
func (ix *chainIndex) find(original netip.AddrPort, s seen) *chain {
	chains, ok := ix.byPort[original.Port()]
	if !ok {
		chains = ix.byPort[0]
	}
	var buf [8]*chain
	left := append(buf[:0], chains...)
	left = best(left, func(c *chain) int { return c.Match.prefix(original.Addr()) })
	left = best(left, func(c *chain) int { return c.Match.name(s.names) })
	left = best(left, func(c *chain) int { return specific(c.Match.Transport, s.transport) })
	for _, offered := range s.alpn {
		for _, c := range left {
			if slices.Contains(c.Match.ALPN, offered) {
				return c
			}
		}
	}
	for _, c := range left {
		if len(c.Match.ALPN) == 0 {
			return c
		}
	}
	return nil
}

// best keeps the chains with the highest rank; those of a negative one are out.
func best(chains []*chain, rank func(*chain) int) []*chain {
	top := 0
	out := chains[:0]
	for _, c := range chains {
		switch r := rank(c); {
		case r < 0 || r < top:
		case r > top:
			top, out = r, append(out[:0], c)
		default:
			out = append(out, c)
		}
	}
	return out
}

func specific(want, is string) int {
	switch want {
	case "":
		return 0
	case is:
		return 1
	}
	return -1
}

func (m *ChainMatch) prefix(a netip.Addr) int {
	if len(m.Prefixes) == 0 {
		return 0
	}
	top := -1
	for _, p := range m.Prefixes {
		if p.Contains(a) {
			top = max(top, 1+p.Bits())
		}
	}
	return top
}

func (m *ChainMatch) name(sni string) int {
	if len(m.Names) == 0 {
		return 0
	}
	top := -1
	for _, n := range m.Names {
		switch suffix, wild := strings.CutPrefix(n, "*"); {
		case n == sni && sni != "":
			return 1 << 16
		case wild && sni != "" && strings.HasSuffix(sni, suffix):
			top = max(top, 1+len(suffix))
		}
	}
	return top
}

func (ix *chainIndex) of(original netip.AddrPort) []*chain {
	if chains, ok := ix.byPort[original.Port()]; ok {
		return chains
	}
	return ix.byPort[0]
}

// onlyTLS says whether every chain for the destination wants TLS that it ends.
func (ix *chainIndex) onlyTLS(original netip.AddrPort) bool {
	chains := ix.of(original)
	for _, c := range chains {
		if c.TLS == nil {
			return false
		}
	}
	return len(chains) > 0
}

// policy names the policy that decided for the destination, "" if that is not known.
func (ix *chainIndex) policy(original netip.AddrPort) string {
	for _, c := range ix.of(original) {
		if c.Policy != "" {
			return c.Policy
		}
	}
	return ""
}
