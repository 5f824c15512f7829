package main

import (
	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

func newProxyStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "proxy-status [POD]",
		Short: "What each sidecar has acknowledged",
		Long: `What each sidecar has acknowledged of what the control plane sent: SYNCED, STALE
(sent and not acknowledged yet), NOT SENT (there is nothing of that kind for
it), or NACK: it refused, kept what it had, and wide says why.`,
		Args:              atMost(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runProxyStatus(a, cmd, args) },
		ValidArgsFunction: a.completePods,
	}
}

// nodeList is the answer of proxy-status.
type nodeList struct {
	document
	Mesh  string     `json:"mesh"`
	Items []api.Node `json:"items"`
}

func runProxyStatus(a *app, cmd *cobra.Command, args []string) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attach(cmd.Context(), "proxy-status")
	if err != nil {
		return noMesh("proxy-status", err)
	}
	defer m.close()
	s, err := m.status(cmd.Context())
	if err != nil {
		return err
	}
	s.Pods = m.knownPods(s)
	items, err := a.someNodes(s, args)
	if err != nil {
		return err
	}
	if format == "json" || format == "yaml" {
		return a.print(format, nodeList{document{APIVersion: apiVersion, Kind: "ProxyStatusList", Dialect: s.Dialect, Snapshot: s.Snapshot}, s.Mesh, items})
	}
	if len(items) == 0 {
		a.note("oarlock: no sidecar is known to the control plane of mesh %s", s.Mesh)
		return nil
	}
	header := []string{"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ISTIOD"}
	if format == "wide" {
		header = append(header, "SNAPSHOT", "NODE", "REASON")
	}
	tab := a.table(plainPadding, header...)
	if format != "wide" {
		narrowNodes(tab)
	}
	for i := range items {
		n := &items[i]
		cells := []string{n.Pod + "." + n.Namespace, "Kubernetes", stateOf(n, "CDS"), stateOf(n, "LDS"), stateOf(n, "EDS"), stateOf(n, "RDS"), s.Mesh}
		if format == "wide" {
			cells = append(cells, orDash(n.Snapshot), n.ID, orDash(n.Refused))
		}
		tab.add(cells...)
	}
	return tab.write(a.stdout)
}

// narrowNodes says what a narrow terminal does without.
func narrowNodes(t *table) {
	t.optional, t.spare, t.cuts = []string{"CLUSTER"}, []string{"ISTIOD"}, []cut{{"NAME", 24, keepBoth}}
}

// knownPods are the pods of a mesh; those of the sidecars that joined where nothing runs pods.
func (m *runningMesh) knownPods(s *api.Status) []api.Pod {
	if m.served == "" {
		return s.Pods
	}
	var out []api.Pod
	for i := range s.Nodes {
		out = append(out, api.Pod{Namespace: s.Nodes[i].Namespace, Name: s.Nodes[i].Pod, Sidecar: true})
	}
	return out
}

// someNodes lists the sidecars of -n, or that of one pod.
func (a *app) someNodes(s *api.Status, args []string) ([]api.Node, error) {
	items := []api.Node{}
	if len(args) == 1 {
		p, err := a.chosenPod(s, args[0])
		if err != nil {
			return nil, err
		}
		if n := nodeOf(s, p); n != nil {
			items = append(items, *n)
		}
		return items, nil
	}
	for _, n := range s.Nodes {
		if ns := a.namespace(); ns == "" || n.Namespace == ns {
			items = append(items, n)
		}
	}
	return items, nil
}

// stateOf is the word for one kind of resource.
func stateOf(n *api.Node, kind string) string {
	word := "NOT SENT"
	for _, t := range n.Types {
		if t.Type == kind {
			word = t.State
		}
	}
	if !n.Connected && word != "NACK" {
		return "STALE"
	}
	return word
}
