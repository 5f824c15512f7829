package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

func newStatusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status [MESH]",
		Short: "How a running mesh is",
		Long: `How a running mesh is: which manifests it runs, how traffic comes into the
sidecars and why so, what is in force where, what its traffic does, what is not
ready, and what the mesh on this machine does not enforce. Bars are the last
fifteen minutes.

The exit status is 1 where manifests are held back or a sidecar refused its
configuration (--fail-on never keeps it 0).`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runStatus(a, cmd, args) },
	}
}

func runStatus(a *app, cmd *cobra.Command, args []string) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	if len(args) == 1 {
		a.flags.mesh = args[0]
	}
	m, err := a.attach(cmd.Context(), "status")
	if err != nil {
		return noMesh("status", err)
	}
	defer m.close()
	s, err := m.status(cmd.Context())
	if err != nil {
		return err
	}
	doc := &statusDocument{Status: s, Observed: m.observed(cmd.Context()), Dashboard: m.boardURL(), opener: m.ask("dashboard")}
	if format == "json" || format == "yaml" {
		err = a.print(format, doc)
	} else {
		err = a.printWhole(doc)
	}
	if err == nil && a.flags.failOn.value != "never" && unhealthy(s) {
		return findings()
	}
	return err
}

// unhealthy says whether something that was asked for is refused.
func unhealthy(s *api.Status) bool {
	if s.Held != "" {
		return true
	}
	for i := range s.Nodes {
		if s.Nodes[i].Connected && s.Nodes[i].Refused != "" {
			return true
		}
	}
	return false
}

// statusWidth is how far the values stand from the left.
const statusWidth = 15

// statusWriter writes status for people.
type statusWriter struct {
	explainer
}

func (a *app) printStatus(s *api.Status) error { return a.printWhole(&statusDocument{Status: s}) }

// printWhole is printStatus with what was seen.
func (a *app) printWhole(doc *statusDocument) error {
	s := doc.Status
	w := &statusWriter{explainer{width: a.textWidth()}}
	w.line("mesh", s.Mesh)
	w.line("manifests", shortPaths(s.Manifests)+", Istio "+s.Dialect)
	w.line("snapshot", orDash(s.Snapshot))
	capture := orDash(s.Capture)
	if s.CaptureWhy != "" {
		capture += ": " + s.CaptureWhy
	}
	w.line("capture", capture)
	w.line("sidecars", fmt.Sprintf("in force on %d of %d", s.Sync.InForce, s.Sync.Total))
	w.line("pods", podCounts(s.Pods))
	w.line("services", fmt.Sprint(s.Services))
	w.line("certificates", authorityWord(&s.CA))
	w.line("access log", accessLogWord(&s.AccessLog))
	w.observed(a, doc.Observed)
	if doc.Dashboard != "" {
		w.line("dashboard", fmt.Sprintf("%s (%s opens it)", doc.Dashboard, doc.opener))
	}
	if s.Held != "" {
		w.section("Held back: the manifests as they are now are not in force")
		w.item(s.Held)
	}
	w.unready(s)
	w.refusals(s)
	w.unenforced(s.Unenforced)
	w.problems(s.Problems)
	_, err := a.stdout.WriteString(w.b.String())
	return err
}

// line writes one value after its name.
func (w *statusWriter) line(name, value string) {
	var e explainer
	e.width = w.width - statusWidth
	e.wrap("", value)
	for i, text := range strings.Split(strings.TrimSuffix(e.b.String(), "\n"), "\n") {
		if i > 0 {
			name, text = "", strings.TrimPrefix(text, "  ")
		}
		fmt.Fprintf(&w.b, "%-*s%s\n", statusWidth, name, text)
	}
}

func (w *statusWriter) section(title string) { fmt.Fprintf(&w.b, "\n%s:\n", title) }

func (w *statusWriter) item(text string) { w.wrap("  ", text) }

func (w *statusWriter) unready(s *api.Status) {
	first := true
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Ready || p.Phase == "Succeeded" {
			continue
		}
		if first {
			w.section("Not ready")
		}
		first = false
		w.item(fmt.Sprintf("%s: %s", podWord(p), reasonWord(p)))
	}
}

func reasonWord(p *api.Pod) string {
	if p.Reason != "" {
		return p.Reason
	}
	return strings.ToLower(p.Phase)
}

func (w *statusWriter) refusals(s *api.Status) {
	first := true
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Refused == "" || !n.Connected {
			continue
		}
		if first {
			w.section("Refused by sidecars, which keep what they had")
		}
		first = false
		w.item(fmt.Sprintf("%s.%s: %s", n.Pod, n.Namespace, n.Refused))
	}
}

func (w *statusWriter) unenforced(list []api.Unenforced) {
	if len(list) == 0 {
		return
	}
	w.section("Not enforced here")
	for _, u := range list {
		name := u.Object.Name
		if u.Object.Namespace != "" {
			name = u.Object.Namespace + "/" + name
		}
		w.item(fmt.Sprintf("%s%s %s: %s", problemPlace(u.Origin), u.Object.Kind, name, u.Why))
	}
}

func (w *statusWriter) problems(list []api.Problem) {
	if len(list) == 0 {
		return
	}
	w.section("Problems")
	for i, p := range list {
		if i == problemsShown {
			w.item(fmt.Sprintf("%d more; -o json has every one", len(list)-i))
			break
		}
		w.item(problemPlace(p.Origin) + p.Severity + ": " + p.Message)
		if p.Hint != "" {
			w.wrap("    ", "hint: "+p.Hint)
		}
	}
}

func problemPlace(o api.Origin) string {
	switch {
	case o.File == "":
		return ""
	case o.Line == 0:
		return shortPath(o.File) + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", shortPath(o.File), o.Line, o.Col)
}

// podCounts gives "12, all ready" or "12, 11 of them ready".
func podCounts(pods []api.Pod) string {
	ready, restarts := 0, 0
	for i := range pods {
		if pods[i].Ready {
			ready++
		}
		restarts += pods[i].Restarts
	}
	out := fmt.Sprintf("%d, %d of them ready", len(pods), ready)
	if ready == len(pods) {
		out = fmt.Sprintf("%d, all ready", len(pods))
	}
	if len(pods) == 0 {
		out = "none"
	}
	if restarts > 0 {
		out += ", " + plural(restarts, "restart")
	}
	return out
}

// authorityWord says who issues.
func authorityWord(c *api.CAStatus) string {
	out := "trust domain " + c.TrustDomain
	for _, one := range c.Authorities {
		if one.Slot == "active" {
			out += fmt.Sprintf(", authority %s until %s", one.Fingerprint, one.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	if c.Rotating {
		out += ", rotating"
	}
	return out
}

func accessLogWord(l *api.AccessLog) string {
	if !l.On {
		return "off (accessLogFile of the MeshConfig is empty)"
	}
	out := "on, " + l.File
	if l.Encoding != "" {
		out += ", " + l.Encoding
	}
	if l.Format != "" {
		out += ", in a format of its own"
	}
	return out
}

func shortPaths(paths []string) string {
	var out []string
	for _, p := range paths {
		out = append(out, shortPath(p))
	}
	return strings.Join(out, ", ")
}

// shortPath is a path from here, if it is not above; else as it is.
func shortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(here, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return path
	}
	return rel
}
