package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

func listenerRows(_ *proxyConfig, d *dump) [][]string {
	var out [][]string
	for _, l := range d.listeners() {
		address := l.field("address", "socketAddress", "address").text()
		port := l.field("address", "socketAddress", "portValue").text()
		chains := l.field("filterChains").list()
		for _, c := range chains {
			out = append(out, []string{orDash(address), orDash(port), chainMatch(c.field("filterChainMatch")), chainDestination(c)})
		}
		if c := l.field("defaultFilterChain"); c.there() {
			out = append(out, []string{orDash(address), orDash(port), "ALL", chainDestination(c)})
		}
	}
	return out
}

// chainMatch is the condition of a filter chain in istioctl's words.
func chainMatch(m node) string {
	var out []string
	add := func(word, text string) {
		if text != "" {
			out = append(out, word+": "+text)
		}
	}
	add("SNI", strings.Join(m.field("serverNames").texts(), ","))
	add("Trans", m.field("transportProtocol").text())
	add("App", strings.Join(m.field("applicationProtocols").texts(), ","))
	var ranges []string
	for _, r := range m.field("prefixRanges").list() {
		length := r.field("prefixLen").text()
		if length == "" {
			length = "0"
		}
		ranges = append(ranges, r.field("addressPrefix").text()+"/"+length)
	}
	add("Addr", strings.Join(ranges, ","))
	port := m.field("destinationPort").text()
	if len(out) == 0 && port == "" {
		return "ALL"
	}
	if port != "" {
		return strings.TrimSuffix("Port: "+port+"; "+strings.Join(out, "; "), "; ")
	}
	return strings.Join(out, "; ")
}

// chainDestination is where the last filter of a chain leads.
func chainDestination(c node) string {
	filters := c.field("filters").list()
	for _, f := range slices.Backward(filters) {
		config := f.field("typedConfig")
		if name := config.field("cluster").text(); name != "" {
			return clusterWord(name)
		}
		if name := config.field("rds", "routeConfigName").text(); name != "" {
			return "Route: " + name
		}
		if r := config.field("routeConfig"); r.there() {
			return inlineRoute(r)
		}
		if w := config.field("weightedClusters", "clusters").list(); len(w) > 0 {
			return fmt.Sprintf("Clusters: %d, weighted", len(w))
		}
	}
	return "none"
}

// clusterWord shortens the names that istioctl shortens.
func clusterWord(name string) string {
	switch name {
	case "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster", "InboundPassthroughClusterIpv4", "InboundPassthroughClusterIpv6":
		return name
	}
	return "Cluster: " + name
}

func inlineRoute(r node) string {
	var clusters []string
	for _, h := range r.field("virtualHosts").list() {
		for _, route := range h.field("routes").list() {
			if c := route.field("route", "cluster").text(); c != "" && !slices.Contains(clusters, c) {
				clusters = append(clusters, c)
			}
		}
	}
	if len(clusters) == 1 {
		return clusterWord(clusters[0])
	}
	return "Inline Route: " + orDash(strings.Join(clusters, ", "))
}

func routeRows(_ *proxyConfig, d *dump) [][]string {
	var out [][]string
	for _, r := range d.routes() {
		for _, h := range r.field("virtualHosts").list() {
			for _, route := range h.field("routes").list() {
				out = append(out, []string{r.field("name").text(), h.field("name").text(), domainsWord(h.field("domains").texts()),
					matchWord(route.field("match")), configObject(route)})
			}
			if len(h.field("routes").list()) == 0 {
				out = append(out, []string{r.field("name").text(), h.field("name").text(), domainsWord(h.field("domains").texts()), "-", "-"})
			}
		}
	}
	for i := range out {
		out[i][4] = orDash(out[i][4])
	}
	return out
}

// domainsWord names the shortest domain and counts the others.
func domainsWord(domains []string) string {
	if len(domains) == 0 {
		return "-"
	}
	first := slices.MinFunc(domains, func(a, b string) int { return len(a) - len(b) })
	if n := len(domains) - 1; n > 0 {
		return fmt.Sprintf("%s + %d more", first, n)
	}
	return first
}

// matchWord is the path of a route's match.
func matchWord(m node) string {
	out := "/*"
	switch {
	case m.field("path").there():
		out = m.field("path").text()
	case m.field("prefix").text() != "" && m.field("prefix").text() != "/":
		out = m.field("prefix").text() + "*"
	case m.field("pathSeparatedPrefix").there():
		out = m.field("pathSeparatedPrefix").text() + "/*"
	case m.field("safeRegex").there():
		out = "regex " + m.field("safeRegex", "regex").text()
	}
	if n := len(m.field("headers").list()); n > 0 {
		out += fmt.Sprintf(", %s", plural(n, "header"))
	}
	return out
}

// secretNodes are the secrets without a trace of a key, whatever the sidecar sends.
func secretNodes(_ *proxyConfig, d *dump) []node {
	var out []node
	for _, s := range d.secrets() {
		if m, ok := s.field("secret").v.(map[string]any); ok {
			for _, field := range []string{"tlsCertificate", "tls_certificate"} {
				if c, ok := m[field].(map[string]any); ok {
					delete(c, "privateKey")
					delete(c, "private_key")
				}
			}
		}
		out = append(out, s.node)
	}
	return out
}

func secretRows(_ *proxyConfig, d *dump) [][]string {
	var out [][]string
	for _, s := range d.secrets() {
		kind, text := "CA", s.field("secret", "validationContext", "trustedCa")
		if c := s.field("secret", "tlsCertificate"); c.there() {
			kind, text = "Cert Chain", c.field("certificateChain")
		}
		name := s.field("name").text()
		certs := inlineCertificates(text)
		if len(certs) == 0 {
			out = append(out, []string{name, kind, s.state, "false", "-", "-", "-", "-"})
			continue
		}
		for _, c := range certs[:shownCertificates(kind, len(certs))] {
			out = append(out, certificateCells(name, kind, s.state, c))
		}
	}
	return out
}

// shownCertificates is how many certificates of a secret have a row: of a chain the leaf, of a bundle each root.
func shownCertificates(kind string, n int) int {
	if kind == "CA" {
		return n
	}
	return 1
}

func certificateCells(name, kind, state string, c *x509.Certificate) []string {
	now := time.Now()
	valid := !now.Before(c.NotBefore) && now.Before(c.NotAfter)
	domain := "-"
	if len(c.URIs) > 0 {
		domain = c.URIs[0].Host
	}
	return []string{name, kind, state, fmt.Sprint(valid), c.SerialNumber.Text(16), instant(c.NotAfter), instant(c.NotBefore), domain}
}

// inlineCertificates reads a DataSource that has its content in it.
func inlineCertificates(n node) []*x509.Certificate {
	text := []byte(n.field("inlineString").text())
	if b := n.field("inlineBytes").text(); b != "" {
		text, _ = base64.StdEncoding.DecodeString(b) // what cannot be read has no certificate
	}
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return out
		}
		text = rest
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			out = append(out, c)
		}
	}
}
