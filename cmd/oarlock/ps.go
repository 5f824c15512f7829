package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

func newPsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "The pods of a running mesh",
		Long: `The pods of a running mesh. READY counts containers, the sidecar among them;
SIDECAR says whether what the control plane decided is in force there.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runPs(a, cmd) },
	}
}

// podList is the answer of ps.
type podList struct {
	document
	Mesh  string    `json:"mesh"`
	Items []podItem `json:"items"`
}

// podItem is one pod with the word for its sidecar.
type podItem struct {
	api.Pod
	Sync string `json:"sync"`
}

func runPs(a *app, cmd *cobra.Command) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attachEngine(cmd.Context(), "ps")
	if err != nil {
		return noMesh("ps", err)
	}
	defer m.close()
	s, err := m.status(cmd.Context())
	if err != nil {
		return err
	}
	items := []podItem{}
	for _, p := range s.Pods {
		if ns := a.namespace(); ns == "" || p.Namespace == ns {
			items = append(items, podItem{p, sidecarWord(s, &p)})
		}
	}
	if format == "json" || format == "yaml" {
		return a.print(format, podList{document{APIVersion: apiVersion, Kind: "PodList", Dialect: s.Dialect, Snapshot: s.Snapshot}, s.Mesh, items})
	}
	if len(items) == 0 {
		a.note("oarlock: no pods in mesh %s", s.Mesh)
		return nil
	}
	header := []string{"NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "SIDECAR"}
	if format == "wide" {
		header = append(header, "SERVICE ACCOUNT", "REASON")
	}
	tab := a.table(plainPadding, header...)
	if format != "wide" {
		narrowPs(tab)
	}
	for i := range items {
		tab.add(psCells(&items[i], format == "wide")...)
	}
	return tab.write(a.stdout)
}

// narrowPs says what a narrow terminal does without.
func narrowPs(t *table) {
	t.optional, t.spare = []string{"RESTARTS"}, []string{"IP"}
	t.cuts = []cut{{"NAME", 24, keepBoth}, {"NAMESPACE", 10, keepBoth}, {"NAME", 16, keepBoth}}
}

func psCells(p *podItem, wide bool) []string {
	of, ready := p.Containers, 0
	if p.Sidecar {
		of++
		if p.Sync != "not connected" && p.Containers > 0 { // a gateway has its proxy alone, and is ready or not
			ready = 1
		}
	}
	if p.Ready {
		ready = of
	}
	cells := []string{p.Namespace, p.Name, fmt.Sprintf("%d/%d", ready, of), p.Phase, fmt.Sprint(p.Restarts), age(p.Started), orDash(strings.Join(p.Addresses, ",")), p.Sync}
	if wide {
		cells = append(cells, p.ServiceAccount, orDash(p.Reason))
	}
	return cells
}

// age is the time since, as kubectl writes it: the largest unit, and the next where that says something.
func age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := max(time.Since(since), 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// sidecarWord says how far the sidecar of a pod is.
func sidecarWord(s *api.Status, p *api.Pod) string {
	if !p.Sidecar {
		return "none"
	}
	n := nodeOf(s, p)
	switch {
	case n == nil || !n.Connected:
		return "not connected"
	case n.Refused != "":
		return "NACK"
	case n.InForce:
		return "in force"
	}
	return "behind"
}

// nodeOf finds the sidecar of a pod; nil where it never came.
func nodeOf(s *api.Status, p *api.Pod) *api.Node {
	for i := range s.Nodes {
		if s.Nodes[i].Namespace == p.Namespace && s.Nodes[i].Pod == p.Name {
			return &s.Nodes[i]
		}
	}
	return nil
}
