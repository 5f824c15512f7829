package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// loadRunning makes the snapshot that is in force in a running mesh: from the manifests that its control plane took, and
// from what runs.
func (a *app) loadRunning(ctx context.Context) (*loaded, error) {
	m, err := a.attachAny(ctx)
	if err != nil {
		return nil, err
	}
	defer m.close()
	if m.served == "" {
		a.flags.mesh = m.name // for messages
	}
	return a.inForce(ctx, m)
}

// inForce makes the snapshot that is in force in m, which stays open.
func (a *app) inForce(ctx context.Context, m *runningMesh) (*loaded, error) {
	answer, err := m.plane.Manifests(ctx)
	if err != nil {
		return nil, m.unanswered(err)
	}
	status, err := m.status(ctx)
	if err != nil {
		return nil, err
	}
	d, err := a.runningDialect(answer.Dialect)
	if err != nil {
		return nil, err
	}
	snap, problems := manifest.Load(filesOf(answer), manifest.Options{Dialect: d, Lenient: a.lenient})
	snap = snap.WithRunning(runningOf(snap, &answer.Running))
	if snap.Dialect.String() == answer.Dialect {
		named := *snap
		named.Version = answer.Snapshot // one number, all the way
		snap = &named
	}
	l := &loaded{reading: mesh.Reading{Snapshot: snap, Problems: problems}, snap: snap, resolver: resolve.New(snap), run: m, status: status}
	if status.Held != "" {
		a.note("oarlock: mesh %s holds its manifests back, and this is about those before: %s", m.name, status.Held)
	}
	return l, nil
}

// attachAny is attach for verbs that would do with manifests as well.
func (a *app) attachAny(ctx context.Context) (*runningMesh, error) {
	m, err := a.reach(ctx)
	if errors.Is(err, errNoMesh) {
		return nil, &failure{exitUsage, fmt.Errorf("choose mesh: %w; name manifests with -f PATH (a file, a directory, or -), or start one with oarlock up", errNoMesh),
			"oarlock -f DIR tls-check"}
	}
	return m, err
}

// runningDialect is the mesh's, unless the flag asks what another would make of it.
func (a *app) runningDialect(ofMesh string) (mesh.Dialect, error) {
	word := a.flags.dialect.value
	if word == mesh.DialectAuto.String() {
		word = ofMesh
	}
	d, err := mesh.ParseDialect(word)
	if err != nil {
		return d, unreadable(err, "")
	}
	return d, nil
}

// filesOf gives the manifests with names as a person here would type them.
func filesOf(m *api.Manifests) []manifest.File {
	var out []manifest.File
	for _, f := range m.Files {
		out = append(out, manifest.File{Name: shortPath(f.Name), Data: f.Data})
	}
	return out
}

// runningOf gives what runs, each pod as an instance of its workload in the manifests.
func runningOf(s *mesh.Snapshot, r *api.Running) *mesh.Running {
	owners := map[mesh.Ref]*mesh.Workload{}
	for _, w := range s.Workloads {
		owners[w.Ref] = w
	}
	out := &mesh.Running{Capture: r.Capture, CaptureWhy: r.CaptureWhy, ServiceIPs: map[mesh.Ref]string{}}
	for i := range r.Pods {
		p := &r.Pods[i]
		owner := podRef(p)
		if p.Owner != nil {
			owner = meshRef(*p.Owner)
		}
		w := owners[owner]
		if w == nil {
			continue // of manifests that came and went
		}
		instance := w.Pod(p.Name, p.Addresses)
		instance.Labels = p.Labels
		out.Pods = append(out.Pods, mesh.Pod{Workload: instance, Phase: mesh.Phase(p.Phase), Ready: p.Ready, Reason: p.Reason, Restarts: p.Restarts, Started: p.Started})
	}
	for _, ip := range r.ServiceIPs {
		out.ServiceIPs[meshRef(ip.Service)] = ip.IP
	}
	return out
}

func meshRef(r api.Ref) mesh.Ref {
	return mesh.Ref{Kind: mesh.Kind(r.Kind), Namespace: r.Namespace, Name: r.Name}
}

// coverage counts the sidecars of a class of clients and of the endpoints of what they call, and those of them that have
// the newest snapshot.
func (l *loaded) coverage(c resolve.Class, t resolve.Target) (inForce, total int) {
	if l.status == nil {
		return 0, 0
	}
	members := c.Members
	if len(members) == 0 && c.Client.Workload != nil {
		members = []*mesh.Workload{c.Client.Workload}
	}
	seen := map[mesh.Ref]bool{}
	count := func(list []*mesh.Workload) {
		for _, w := range list {
			if w.Capture != mesh.CaptureSidecar || w.Ref.Kind != mesh.KindPod || seen[w.Ref] {
				continue
			}
			seen[w.Ref] = true
			total++
			if slices.ContainsFunc(l.status.Nodes, func(n api.Node) bool {
				return n.Namespace == w.Ref.Namespace && n.Pod == w.Ref.Name && n.Connected && n.InForce
			}) {
				inForce++
			}
		}
	}
	count(members)
	for _, e := range l.resolver.Explain(c.Client, t).Endpoints {
		count(e.Workloads)
	}
	return inForce, total
}

// syncWord is the cell of SYNC: whether the sidecars of both ends have what the verdict is about.
func (l *loaded) syncWord(c resolve.Class, t resolve.Target) string {
	inForce, total := l.coverage(c, t)
	switch {
	case total == 0:
		return "-" // no sidecar, nothing to be in force
	case inForce == total:
		return "in force"
	}
	return fmt.Sprintf("not yet on %d of %d", total-inForce, total)
}

// openForChange is open for verbs that edit manifests: those of a running mesh are read where they lie.
func (a *app) openForChange(ctx context.Context) (*loaded, error) {
	if err := a.oneMesh(); err != nil {
		return nil, err
	}
	if len(a.flags.files) > 0 {
		return a.open(ctx)
	}
	m, err := a.attachAny(ctx)
	if err != nil {
		return nil, err
	}
	status, err := m.status(ctx)
	if err != nil {
		m.close()
		return nil, err
	}
	for _, place := range status.Manifests {
		a.flags.files = append(a.flags.files, shortPath(place))
	}
	a.flags.mesh, a.flags.dir = "", ""
	l, err := a.open(ctx)
	if err != nil {
		m.close()
		return nil, err
	}
	l.run, l.status = m, status
	return l, nil
}

// enforcePatience is how long a change waits for the sidecars, unless --timeout says otherwise.
const enforcePatience = 10 * time.Second

// enforcement is how far a change of a running mesh is.
type enforcement struct {
	InForce int      `json:"inForce"`
	Total   int      `json:"total"`
	Elapsed float64  `json:"elapsedMilliseconds"` // from before the first byte was written
	Missing []string `json:"missing,omitempty"`
	name    string   // of the change in the mesh's list of changes; "" where the mesh does not say it
}

// sign tells the control plane who asks, for its list of changes.
func (m *runningMesh) sign() {
	if who, err := user.Current(); err == nil {
		m.plane.User = who.Username
	}
}

// enforced lets the control plane look at what was written since begin, and waits until every sidecar has acknowledged it.
func (m *runningMesh) enforced(ctx context.Context, begin time.Time, wrote api.Wrote, patience time.Duration) (*enforcement, error) {
	if patience <= 0 || patience > enforcePatience {
		patience = enforcePatience
	}
	m.sign()
	r, err := m.plane.Reload(ctx, wrote)
	if err != nil {
		return nil, m.unanswered(fmt.Errorf("the change is written, and not confirmed: %w", err))
	}
	if r.Held != "" {
		return nil, unreadable(fmt.Errorf("enforce change: it is written, and mesh %s holds it back: %s", m.name, r.Held), "")
	}
	s, err := m.plane.Sync(ctx, r.Snapshot, patience)
	if err != nil {
		return nil, m.unanswered(fmt.Errorf("the change is written, and not confirmed: %w", err))
	}
	return &enforcement{s.InForce, s.Total, float64(time.Since(begin).Microseconds()) / 1000, s.Missing, r.Change}, nil
}

// wroteOf tells the control plane that these files are whole, what was done with them in a line, and the name of that.
func wroteOf(what, name string, edits []manifest.FileEdit) api.Wrote {
	w := api.Wrote{Files: map[string]string{}, What: what, Name: name}
	for _, e := range edits {
		path, err := filepath.Abs(e.Name)
		switch {
		case err != nil:
		case e.After == nil:
			w.Removed = append(w.Removed, path)
		default:
			sum := sha256.Sum256(e.After)
			w.Files[path] = hex.EncodeToString(sum[:])
		}
	}
	return w
}

// String gives "enforced on 12 of 12 sidecars in 31 ms".
func (e *enforcement) String() string {
	if e.Total == 0 {
		return "no sidecar runs that would have to enforce it"
	}
	word := "in"
	if e.InForce < e.Total {
		word = "after"
	}
	took := fmt.Sprintf("%.0f ms", e.Elapsed)
	if e.Elapsed < 10 {
		took = fmt.Sprintf("%.1f ms", e.Elapsed)
	}
	return fmt.Sprintf("enforced on %d of %d sidecars %s %s", e.InForce, e.Total, word, took)
}

// absolute gives a path that means the same from anywhere.
func absolute(path string) (string, error) {
	if path == "-" {
		return "", usage(errors.New("run mesh: standard input cannot be watched; give a file or a directory"), "")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", unreadable(fmt.Errorf("find %s: %w", path, err), "")
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real // so that a mesh is the same by whatever way it is named
	}
	if _, err := os.Stat(abs); err != nil {
		return "", unreadable(fmt.Errorf("read %s: %w", path, plainCause(err)), "")
	}
	return abs, nil
}
