package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oarlock/oarlock/graph"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"golang.org/x/term"
)

// confirm asks before a change of a running mesh that would break a connection which somebody makes. Without a terminal
// it refuses; --yes answers.
func (m *mtlsChange) confirm(l *loaded, after *mesh.Snapshot) error {
	if l.run == nil || m.yes || m.dryRun {
		return nil
	}
	broken := breaks(l.resolver, resolve.New(after))
	if len(broken) == 0 {
		return nil
	}
	for i, b := range broken {
		if i == linesShown && !m.app.flags.verbose {
			m.app.note("breaks: %d more; -v prints every one", len(broken)-i)
			break
		}
		m.app.note("breaks: %s", b)
	}
	if !m.clients {
		m.app.note("try: %s", m.app.insteadOf(fmt.Sprintf("mtls %s %s --clients", m.verb, m.typed)))
	}
	if f := fileOf(m.app.stdin); f != nil && term.IsTerminal(int(f.Fd())) && terminalOf(m.app.stderr) != nil {
		return m.ask(f, len(broken))
	}
	return refused(fmt.Errorf("change mTLS of %s: %s that somebody makes in mesh %s would break", m.resource, plural(len(broken), "connection"), l.run.name),
		m.app.again("", "--yes"))
}

// ask wants a yes at the terminal.
func (m *mtlsChange) ask(in *os.File, n int) error {
	fmt.Fprintf(m.app.stderr, "Break %s? [y/N] ", plural(n, "connection"))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return refused(fmt.Errorf("change mTLS of %s: %w", m.resource, err), "")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return refused(fmt.Errorf("change mTLS of %s: the answer was no, and nothing was written", m.resource), "")
}

// breaks lists the calls that work before a change and not after it, in the order of the graph.
func breaks(before, after *resolve.Resolver) []string {
	type call struct {
		from, to, subset string
		port             uint32
	}
	works := map[call]bool{}
	for _, e := range graph.Build(before).Edges {
		works[call{e.From, e.To, e.Subset, e.Port}] = e.Declared != nil && e.Declared.Verdict.Status != resolve.StatusConflict
	}
	g := graph.Build(after)
	names := make(map[string]string, len(g.Nodes))
	for i := range g.Nodes {
		names[g.Nodes[i].ID] = nodeWord(&g.Nodes[i])
	}
	var out []string
	for i := range g.Edges {
		e := &g.Edges[i]
		if e.Weak() || e.Declared == nil || e.Declared.Verdict.Status != resolve.StatusConflict || !works[call{e.From, e.To, e.Subset, e.Port}] {
			continue
		}
		v := e.Declared.Verdict
		out = append(out, fmt.Sprintf("%s -> %s:%d: %s", names[e.From], names[e.To], e.Port, clause(v.Cause, v.Wire, v.Client)))
	}
	return out
}
