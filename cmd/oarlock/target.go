package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/yamldir"
	"golang.org/x/term"
)

// problemsShown is how many problems are printed without -v.
const problemsShown = 20

// loaded is the mesh that a verb asks about, as it was read once.
type loaded struct {
	dir      *yamldir.Dir
	reading  mesh.Reading
	snap     *mesh.Snapshot
	resolver *resolve.Resolver

	run    *runningMesh // that the verb asks about; nil: manifests alone
	status *api.Status  // of run
}

// open reads the mesh that the global flags name and prints its problems on standard error. Documents that cannot be
// read leave the rest to be judged, and are remembered for the exit status.
func (a *app) open(ctx context.Context) (*loaded, error) {
	l, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, a.late(err)
	}
	failed := a.printProblems(l.reading.Problems)
	if l.snap.Documents == 0 {
		if failed > 0 {
			return nil, unreadable(fmt.Errorf("read %s: no document could be read", a.paths()), "")
		}
		return nil, unreadable(fmt.Errorf("read %s: no manifests there", a.paths()), "")
	}
	a.partial = failed > 0
	return l, nil
}

// load reads without a word about problems: the manifests of -f, or a running mesh.
func (a *app) load(ctx context.Context) (*loaded, error) {
	if err := a.oneMesh(); err != nil {
		return nil, err
	}
	if len(a.flags.files) == 0 {
		return a.loadRunning(ctx)
	}
	return a.loadFiles(ctx)
}

func (a *app) loadFiles(ctx context.Context) (*loaded, error) {
	d, err := mesh.ParseDialect(a.flags.dialect.value)
	if err != nil {
		return nil, usage(err, "")
	}
	defer a.progress("oarlock: reading " + a.paths() + " …")()
	dir, err := yamldir.Open(a.flags.files, yamldir.Options{Dialect: d, Lenient: a.lenient, Stdin: a.stdin})
	if err != nil {
		return nil, unreadable(err, "")
	}
	reading, err := dir.Read(ctx)
	if err != nil {
		return nil, a.late(err)
	}
	return &loaded{dir: dir, reading: reading, snap: reading.Snapshot, resolver: resolve.New(reading.Snapshot)}, nil
}

// late is an error of reading, which may be that --timeout is over.
func (a *app) late(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("read %s: not done within %s", a.paths(), a.flags.timeout)
	}
	return unreadable(err, "")
}

// patience is how long work may take before it says on a terminal what it does.
const patience = 700 * time.Millisecond

// progress shows a line on a terminal while long work goes on; done takes it away again.
func (a *app) progress(what string) (done func()) {
	f := terminalOf(a.stderr)
	if f == nil {
		return func() {}
	}
	var mu sync.Mutex // guards shown and over, and the order of the two writes
	var shown, over bool
	t := time.AfterFunc(patience, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			shown = true
			fmt.Fprint(f, clean(what))
		}
	})
	return func() {
		t.Stop()
		mu.Lock()
		defer mu.Unlock()
		over = true
		if shown {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

// terminalOf gives the terminal that a stream goes to; nil where it goes elsewhere.
func terminalOf(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// oneMesh refuses the meshes that this version cannot reach, and flags that name two.
func (a *app) oneMesh() error {
	f := &a.flags
	var other string
	switch {
	case f.mesh != "" && f.dir != "":
		return usage(fmt.Errorf("open mesh %q: --dir names another mesh; give one of the two", f.mesh), "")
	case f.mesh != "":
		other = fmt.Sprintf("open mesh %q", f.mesh)
	case f.dir != "":
		other = fmt.Sprintf("open control plane in %s", f.dir)
	case f.context != "":
		other = fmt.Sprintf("open context %q", f.context)
	case f.kubeconfig != "":
		other = fmt.Sprintf("open kubeconfig %q", f.kubeconfig)
	default:
		return nil
	}
	if len(f.files) > 0 {
		return usage(fmt.Errorf("%s: -f names another mesh; give one of the two", other), "")
	}
	if f.context != "" || f.kubeconfig != "" {
		return unreadable(fmt.Errorf("%s: this version reads manifests, and meshes of this machine", other), "oarlock -f DIR tls-check")
	}
	return nil
}

// paths names what was read, for a message.
func (a *app) paths() string {
	if len(a.flags.files) == 0 {
		return "mesh " + cmp.Or(a.flags.mesh, "in "+a.flags.dir)
	}
	return strings.Join(a.flags.files, ", ")
}

// printProblems prints problems as a compiler would and gives the number of errors. Of many, it prints the first few.
func (a *app) printProblems(ps []mesh.Problem) (failed int) {
	for i, p := range ps {
		if p.Severity == mesh.Error {
			failed++
		}
		if i >= problemsShown && !a.flags.verbose {
			continue
		}
		at := p.Origin.String()
		if at != "" {
			at += ": "
		}
		a.note("%s%s: %s", at, p.Severity, p.Message)
		if p.Hint != "" {
			a.note("  hint: %s", p.Hint)
		}
	}
	if hidden := len(ps) - problemsShown; hidden > 0 && !a.flags.verbose {
		a.note("oarlock: %d more problems (in all %s); -v prints every one", hidden, tally(failed, len(ps)-failed))
	}
	return failed
}

// tally gives "3 errors, 1 warning".
func tally(errors, warnings int) string {
	return plural(errors, "error") + ", " + plural(warnings, "warning")
}

// plural gives "1 thing" or "2 things".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
