package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
	"golang.org/x/term"
)

// confirm asks before a change of a running mesh that would break a connection which somebody makes, as the manifests say
// or as was seen. Without a terminal it refuses; --yes answers.
func (m *mtlsChange) confirm(ctx context.Context, l *loaded, after *mesh.Snapshot) error {
	if l.run == nil || m.yes || m.dryRun {
		return nil
	}
	broken := m.breaks(ctx, l, resolve.New(after))
	if len(broken) == 0 {
		return nil
	}
	for i, e := range broken {
		if i == linesShown && !m.app.flags.verbose {
			m.app.note("breaks: %d more; -v prints every one", len(broken)-i)
			break
		}
		m.app.note("breaks: %s", strings.TrimSuffix(e.Text, "."))
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

// breaks lists the calls that are made and would break. A store that is away leaves those that are declared.
func (m *mtlsChange) breaks(ctx context.Context, l *loaded, after *resolve.Resolver) []api.Effect {
	seen, err := l.askGraph(ctx, breakWindow, "")
	if err != nil && m.app.flags.verbose {
		m.app.note("oarlock: mesh %s does not say what was seen: %s", l.run.name, err)
	}
	impact := plan.Compare(l.resolver, after, knownCalls(after, seen))
	return slices.DeleteFunc(impact.Effects, func(e api.Effect) bool { return e.Kind != plan.Breaks || !plan.Live(&e) })
}

// breakWindow is how far back a change looks for calls that it would break.
const breakWindow = 10 * time.Minute

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
