package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// proxyConfig is one run of a proxy-config verb.
type proxyConfig struct {
	app    *app
	format string

	fqdn, direction, subset string
	port                    uint32
}

// A configKind is one of proxy-config's verbs.
type configKind struct {
	name, alias, short string
	header             []string
	// rows gives the cells of the table, nodes the JSON.
	rows  func(p *proxyConfig, d *dump) [][]string
	nodes func(p *proxyConfig, d *dump) []node
	// narrow says what a terminal that is too narrow does without.
	narrow func(t *table)
}

// configKinds lists the verbs in the order in which all prints them.
func configKinds() []configKind {
	return []configKind{
		{"cluster", "c", "The clusters: where a sidecar sends what, and by which DestinationRule",
			[]string{"SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"}, clusterRows, keptClusters,
			func(t *table) { t.cuts = []cut{{"DESTINATION RULE", 16, keepBoth}, {"SUBSET", 8, keepBoth}} }},
		{"listener", "l", "The listeners: what a sidecar accepts, and what it does with it",
			[]string{"ADDRESSES", "PORT", "MATCH", "DESTINATION"}, listenerRows, func(p *proxyConfig, d *dump) []node { return d.listeners() },
			func(t *table) {
				t.cuts = []cut{{"MATCH", 26, keepStart}, {"DESTINATION", 24, keepStart}, {"ADDRESSES", 15, keepStart}}
			}},
		{"route", "r", "The routes: which request goes to which cluster",
			[]string{"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"}, routeRows, func(p *proxyConfig, d *dump) []node { return d.routes() },
			func(t *table) {
				t.cuts = []cut{{"VHOST NAME", 20, keepPort}, {"DOMAINS", 16, keepEnd}, {"NAME", 12, keepStart}, {"MATCH", 10, keepStart}, {"VIRTUAL SERVICE", 15, keepBoth}}
			}},
		{"endpoint", "ep", "The endpoints of the clusters, and whether they take the mesh's TLS",
			[]string{"ENDPOINT", "STATUS", "OUTLIER CHECK", "TLS MODE", "CLUSTER"}, endpointRows, func(p *proxyConfig, d *dump) []node { return d.endpoints() },
			func(t *table) {
				t.optional, t.cuts = []string{"OUTLIER CHECK"}, []cut{{"CLUSTER", 24, keepStart}, {"ENDPOINT", 21, keepEnd}}
			}},
		{"secret", "s", "The certificates of a sidecar; never its key",
			[]string{"RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE", "TRUST DOMAIN"}, secretRows, secretNodes,
			func(t *table) {
				t.optional, t.spare = []string{"STATUS", "TRUST DOMAIN"}, []string{"NOT BEFORE", "TRUST DOMAIN"}
				t.cuts = []cut{{"SERIAL NUMBER", 13, keepStart}, {"RESOURCE NAME", 16, keepBoth}, {"NOT AFTER", 11, keepStart}}
			}},
	}
}

func newProxyConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "proxy-config",
		Aliases: []string{"pc"},
		Short:   "What a sidecar runs with, in istioctl's columns or Envoy's JSON",
		Args:    knownVerb,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, k := range configKinds() {
		cmd.AddCommand(newConfigKindCommand(a, k))
	}
	cmd.AddCommand(newWholeConfigCommand(a, "bootstrap", "The file that a sidecar started from, as JSON"),
		newWholeConfigCommand(a, "all", "All of it"))
	return cmd
}

func newConfigKindCommand(a *app, k configKind) *cobra.Command {
	p := &proxyConfig{app: a}
	cmd := &cobra.Command{
		Use:     k.name + " POD",
		Aliases: []string{k.alias, k.name + "s"},
		Short:   k.short,
		Args:    between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := p.load(cmd, args[0])
			if err != nil {
				return err
			}
			if p.format == "json" || p.format == "yaml" {
				return a.print(p.format, plainNodes(k.nodes(p, d)))
			}
			return p.table(k, d)
		},
		ValidArgsFunction: a.completePods,
	}
	if k.name == "cluster" || k.name == "endpoint" {
		f := cmd.Flags()
		f.StringVar(&p.fqdn, "fqdn", "", "of this `HOST` alone")
		f.StringVar(&p.direction, "direction", "", "of this `DIRECTION` alone: inbound or outbound")
		f.StringVar(&p.subset, "subset", "", "of this `SUBSET` alone")
		f.Uint32Var(&p.port, "port", 0, "of this `PORT` alone")
	}
	return cmd
}

// newWholeConfigCommand makes the verbs whose answer is more than one list.
func newWholeConfigCommand(a *app, name, short string) *cobra.Command {
	p := &proxyConfig{app: a}
	return &cobra.Command{
		Use:   name + " POD",
		Short: short,
		Args:  between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := p.load(cmd, args[0])
			if err != nil {
				return err
			}
			if name == "bootstrap" {
				if p.format != "yaml" {
					p.format = "json"
				}
				return a.print(p.format, camelFields(d.section("Bootstrap").v))
			}
			if p.format == "json" || p.format == "yaml" {
				return a.print(p.format, map[string]any{"configs": plainNodes(d.configs)})
			}
			for i, k := range configKinds() {
				if i > 0 {
					fmt.Fprintln(a.stdout)
				}
				if err := p.table(k, d); err != nil {
					return err
				}
			}
			return nil
		},
		ValidArgsFunction: a.completePods,
	}
}

// load asks the sidecar of a pod for its configuration.
func (p *proxyConfig) load(cmd *cobra.Command, pod string) (*dump, error) {
	var err error
	if p.format, err = p.app.format("table", "wide", "json", "yaml"); err != nil {
		return nil, err
	}
	switch p.direction {
	case "", "inbound", "outbound":
	default:
		return nil, usage(fmt.Errorf("parse flag --direction %q: want inbound or outbound", p.direction), "")
	}
	m, err := p.app.attachEngine(cmd.Context(), "proxy-config")
	if err != nil {
		return nil, noMesh("proxy-config", err)
	}
	defer m.close()
	s, err := p.app.podSidecar(cmd.Context(), m, pod)
	if err != nil {
		return nil, err
	}
	text, err := s.ask(cmd.Context(), "/config_dump?include_eds", nil)
	if err != nil {
		return nil, err
	}
	d, err := parseDump(text)
	if err != nil {
		return nil, unreadable(err, "")
	}
	return d, nil
}

func (p *proxyConfig) table(k configKind, d *dump) error {
	tab := p.app.table(plainPadding, k.header...)
	if p.format != "wide" {
		k.narrow(tab)
	}
	for _, row := range k.rows(p, d) {
		tab.add(row...)
	}
	return tab.write(p.app.stdout)
}

// clusterName is a name of Istio's, direction|port|subset|host, taken apart; another name is the host.
type clusterName struct{ direction, port, subset, host string }

func parseCluster(name string) clusterName {
	parts := strings.Split(name, "|")
	if len(parts) != 4 {
		return clusterName{host: name}
	}
	return clusterName{parts[0], parts[1], parts[2], parts[3]}
}

// keeps says whether the flags choose a cluster.
func (p *proxyConfig) keeps(name string) bool {
	c := parseCluster(name)
	return (p.fqdn == "" || p.fqdn == c.host) && (p.direction == "" || p.direction == c.direction) &&
		(p.subset == "" || p.subset == c.subset) && (p.port == 0 || fmt.Sprint(p.port) == c.port)
}

func keptClusters(p *proxyConfig, d *dump) []node {
	return slices.DeleteFunc(d.clusters(), func(n node) bool { return !p.keeps(n.field("name").text()) })
}

func clusterRows(p *proxyConfig, d *dump) [][]string {
	var out [][]string
	for _, n := range keptClusters(p, d) {
		c := parseCluster(n.field("name").text())
		kind := n.field("type").text()
		if kind == "" {
			kind = n.field("clusterType", "name").text()
		}
		if kind == "" {
			kind = "STATIC" // a default that protobuf's JSON leaves out
		}
		out = append(out, []string{c.host, orDash(c.port), orDash(c.subset), orDash(c.direction), kind, orDash(configObject(n))})
	}
	slices.SortStableFunc(out, slices.Compare[[]string])
	return out
}

// configObject names the object that Istio's metadata points to, NAME.NS: /apis/GROUP/VERSION/namespaces/NS/KIND/NAME.
func configObject(n node) string {
	at := n.field("metadata", "filterMetadata", "istio", "config").text()
	parts := strings.Split(strings.Trim(at, "/"), "/")
	if len(parts) < 7 || parts[3] != "namespaces" {
		return ""
	}
	return parts[6] + "." + parts[4]
}

func endpointRows(p *proxyConfig, d *dump) [][]string {
	var out [][]string
	for _, a := range d.endpoints() {
		cluster := a.field("clusterName").text()
		if !p.keeps(cluster) {
			continue
		}
		for _, locality := range a.field("endpoints").list() {
			for _, e := range locality.field("lbEndpoints").list() {
				status, check := e.field("healthStatus").text(), "OK"
				if status == "" || status == "UNKNOWN" {
					status = "HEALTHY"
				}
				if e.field("outlier").text() == "true" {
					check = "FAILED"
				}
				mode := e.field("metadata", "filterMetadata", "envoy.transport_socket_match", "tlsMode").text()
				out = append(out, []string{endpointAddress(e.field("endpoint", "address")), status, check, orDash(mode), cluster})
			}
		}
	}
	slices.SortStableFunc(out, slices.Compare[[]string])
	return out
}

func endpointAddress(n node) string {
	if s := n.field("socketAddress"); s.there() {
		return s.field("address").text() + ":" + s.field("portValue").text()
	}
	if pipe := n.field("pipe", "path").text(); pipe != "" {
		return "unix://" + pipe
	}
	return orDash(path.Base(n.field("envoyInternalAddress", "serverListenerName").text()))
}
