package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
)

// How long up waits: in all, while nothing gets better, and between two looks.
const (
	readyPatience = 60 * time.Second
	stillPatience = 15 * time.Second
	readyLook     = 20 * time.Millisecond
	downPatience  = 20 * time.Second
)

// upFlags are the flags of up, as given.
type upFlags struct {
	serveFlags
	name   string
	detach bool
}

func newUpCommand(a *app) *cobra.Command {
	f := &upFlags{}
	cmd := &cobra.Command{
		Use:   "up [-f DIR] [--detach]",
		Short: "Run the mesh in a directory on this machine",
		Long: `Run the mesh in a directory (by default this one) on this machine: its workloads
as processes with a sidecar each, an authority, and a control plane that watches
the directory. Save a file and it takes effect.

Without --detach it stays in the foreground, and Ctrl-C takes everything down. A
mesh that runs already is attached to, and left running.`,
		Example: `  oarlock up -f examples/bookinfo
  oarlock up -f examples/bookinfo --detach
  oarlock up --svid-ttl 10m --capture explicit`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return runUp(a, cmd, f) },
	}
	p := cmd.Flags()
	p.StringVar(&f.name, "name", "", "call the mesh `NAME` (default: one made from the directory's path)")
	p.BoolVar(&f.detach, "detach", false, "come back as soon as it is ready, and leave it running")
	f.addTo(cmd)
	return cmd
}

func runUp(a *app, cmd *cobra.Command, f *upFlags) error {
	if err := a.upAlone(f); err != nil {
		return err
	}
	files := a.flags.files
	if len(files) == 0 {
		files = []string{"."}
	}
	var places []string
	for _, file := range files {
		place, err := absolute(file)
		if err != nil {
			return err
		}
		places = append(places, place)
	}
	if err := a.readableMesh(cmd.Context(), files); err != nil {
		return err
	}
	u := &upRun{app: a, flags: f, places: places, name: f.name}
	if u.name == "" {
		u.name = mesh.HumanName([]byte(strings.Join(places, "\n")))
	}
	return u.run(cmd.Context())
}

// upAlone refuses flags that do not fit.
func (a *app) upAlone(f *upFlags) error {
	g := &a.flags
	switch {
	case g.mesh != "":
		return usage(errors.New("run up: a mesh that it starts is named with --name"), a.again("--mesh", "--name"))
	case g.dir != "":
		return usage(errors.New("run up: the state of a mesh that it starts has a place of its own; leave out --dir"), "")
	case g.context != "" || g.kubeconfig != "":
		return usage(errors.New("run up: it runs manifests on this machine; leave out --context and --kubeconfig"), "")
	case f.name != "" && !local.MeshName(f.name):
		return usage(fmt.Errorf("name mesh %q: want small letters, digits and hyphens, at most 40", f.name), "")
	}
	return f.check()
}

// readableMesh makes sure that there is something to run, and prints what cannot be read.
func (a *app) readableMesh(ctx context.Context, files []string) error {
	given := a.flags.files
	a.flags.files = files
	defer func() { a.flags.files = given }()
	_, err := a.open(ctx)
	a.partial = false // the mesh runs without it, and says so
	return err
}

// upRun is one run of up, or of demo.
type upRun struct {
	app    *app
	flags  *upFlags
	places []string // absolute paths of the manifests
	name   string
	demo   string // the example; "" is up

	noOpen bool // open no browser
	owned  bool // this process started the mesh, and takes it down
}

func (u *upRun) run(ctx context.Context) error {
	a := u.app
	// --timeout is how long to wait for a mesh to be ready, not how long it may run.
	ctx, stop := interruptible(context.WithoutCancel(ctx))
	defer stop()
	m, err := u.find(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		m, err = u.start(ctx)
		if errors.Is(err, fs.ErrExist) { // of two that came at the same moment this was the second
			begun := err
			if m, err = u.find(ctx); m == nil {
				err = cmp.Or(err, begun)
			}
		}
		if err != nil {
			return err
		}
	}
	defer m.close()
	s, err := u.ready(ctx, m)
	if ctx.Err() != nil {
		return u.end(m)
	}
	if err == nil {
		err = u.show(ctx, m, s)
	}
	if err != nil {
		return errors.Join(err, u.endQuietly(m))
	}
	if u.flags.detach {
		if !allReady(s) && a.flags.failOn.value != "never" {
			return findings()
		}
		return nil
	}
	return u.stay(ctx, m)
}

// find gives the mesh that runs these manifests already; nil where none does.
func (u *upRun) find(ctx context.Context) (*runningMesh, error) {
	names, err := runningNames()
	if err != nil {
		return nil, unreadable(err, "")
	}
	for _, name := range names {
		if u.flags.name != "" && name != u.flags.name || u.demo != "" && name != u.name {
			continue
		}
		m, err := connect(ctx, name)
		if err != nil {
			continue // it is on its way down
		}
		s, err := m.firstStatus(ctx)
		if err == nil && slices.Equal(s.Manifests, u.places) {
			u.name = name
			u.app.note("mesh %s runs already; attached", name)
			return m, nil
		}
		m.close()
		if name == u.name {
			return nil, usage(fmt.Errorf("start mesh %s: a mesh of that name runs already, from %s", name, placesOf(s)), u.app.again("", "--name=NAME"))
		}
	}
	return nil, nil
}

func placesOf(s *api.Status) string {
	if s == nil {
		return "manifests that it does not tell"
	}
	return shortPaths(s.Manifests)
}

// firstStatus asks a control plane that may only just have been started.
func (m *runningMesh) firstStatus(ctx context.Context) (*api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		s, err := m.plane.Status(ctx)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		pause(ctx, readyLook)
	}
}

// start starts the engine, which starts the control plane.
func (u *upRun) start(ctx context.Context) (*runningMesh, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, unreadable(fmt.Errorf("start mesh %s: %w", u.name, err), "")
	}
	serve := []string{executable, "serve", "--mesh", u.name}
	for _, place := range u.places {
		serve = append(serve, "-f", place)
	}
	serve = append(serve, u.flags.arguments()...)
	if d := u.app.flags.dialect.value; d != mesh.DialectAuto.String() {
		serve = append(serve, "--dialect", d)
	}
	if u.app.flags.verbose {
		serve = append(serve, "-v")
	}
	engine, err := local.Start(ctx, local.StartOptions{
		Name: u.name, Executable: executable, Engine: []string{"engine"}, Control: serve, Lease: !u.flags.detach, Env: os.Environ(),
		Capture: u.flags.capture,
	})
	if errors.Is(err, fs.ErrExist) {
		return nil, unreadable(err, u.app.same())
	}
	if err != nil {
		return nil, unreadable(err, "")
	}
	u.owned = true
	paths := engine.Paths()
	return &runningMesh{name: u.name, paths: paths, plane: api.NewClient(paths.Socket(apiSocket)), engine: engine}, nil
}

// ready waits until every pod is ready and every sidecar has what the control plane decided, or until that does not get
// better any more. The error is for a control plane that does not come up.
func (u *upRun) ready(ctx context.Context, m *runningMesh) (*api.Status, error) {
	line := u.app.statusLine()
	defer line.clear()
	limit := readyPatience
	if t := u.app.flags.timeout; t > 0 {
		limit = t
	}
	begin, better := time.Now(), time.Now()
	best := -1
	var last *api.Status
	for ctx.Err() == nil {
		s, err := m.plane.Status(ctx)
		now := time.Now()
		if err != nil {
			if why := u.planeFails(ctx, m); why != nil {
				return nil, why
			}
		} else {
			last = s
			if n := progressOf(s); n > best {
				best, better = n, now
			}
			if allReady(s) {
				return s, nil
			}
			line.set("oarlock: " + readyWord(s))
		}
		if now.Sub(begin) > limit || now.Sub(better) > stillPatience {
			break
		}
		pause(ctx, readyLook)
	}
	if last == nil && ctx.Err() == nil {
		return nil, unreadable(fmt.Errorf("start mesh %s: its control plane gives no answer; its log is %s", m.name, m.paths.ControlLog()), "")
	}
	return last, nil
}

// planeRestarts is after how many ends a control plane counts as one that does not come up.
const planeRestarts = 2

// planeFails says why the control plane does not come up, once it has ended again and again.
func (u *upRun) planeFails(ctx context.Context, m *runningMesh) error {
	_, restarts, reason, err := m.engine.Control(ctx)
	if err != nil && errors.Is(err, fs.ErrNotExist) {
		return unreadable(fmt.Errorf("start mesh %s: its engine has ended; its log is %s", m.name, m.paths.EngineLog()), "")
	}
	if restarts < planeRestarts {
		return nil
	}
	why := lastLine(m.paths.ControlLog())
	if why == "" {
		why = reason
	}
	return unreadable(fmt.Errorf("start mesh %s: its control plane does not come up: %s", m.name, why), "")
}

// lastLine gives the last error that a process of ours wrote to its log, "" where it cannot be read.
func lastLine(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range slices.Backward(lines) {
		if why, ok := strings.CutPrefix(line, "oarlock: "); ok {
			return why
		}
	}
	return ""
}

// progressOf counts what is done.
func progressOf(s *api.Status) int {
	n := s.Sync.InForce + len(s.Pods)
	for i := range s.Pods {
		if s.Pods[i].Ready {
			n++
		}
	}
	return n
}

// allReady says whether there is nothing to wait for.
func allReady(s *api.Status) bool {
	if s == nil || s.Snapshot == "" || s.Capture == "" || s.Sync.InForce < s.Sync.Total {
		return false
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Sidecar && p.Phase == "Running" && nodeOf(s, p) == nil {
			return false
		}
		if !p.Ready && p.Phase != "Succeeded" {
			return false
		}
	}
	return true
}

// readyWord is the line that shows how far it is.
func readyWord(s *api.Status) string {
	ready := 0
	for i := range s.Pods {
		if s.Pods[i].Ready {
			ready++
		}
	}
	return fmt.Sprintf("%d of %d pods ready, policy in force on %d of %d sidecars …", ready, len(s.Pods), s.Sync.InForce, s.Sync.Total)
}

// show prints how the mesh is, and what to do with it.
func (u *upRun) show(ctx context.Context, m *runningMesh, s *api.Status) error {
	a := u.app
	if s == nil {
		return unreadable(fmt.Errorf("start mesh %s: its control plane gives no answer", m.name), "")
	}
	if err := a.printStatus(s); err != nil {
		return err
	}
	if u.demo != "" {
		fmt.Fprintln(a.stdout)
		if err := u.verdicts(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, "\nTry:\n")
	for _, line := range u.tries(ctx, s) {
		fmt.Fprintf(a.stdout, "  %s\n", clean(line))
	}
	u.board(ctx, m)
	return a.stdout.Flush()
}

// board prints the link to the dashboard. A demo opens it too, where there is a desktop.
func (u *upRun) board(ctx context.Context, m *runningMesh) {
	link := boardLink(m.controlState())
	if link == "" {
		return
	}
	fmt.Fprintf(u.app.stdout, "\nDashboard, for nobody else:\n  %s\n", link)
	opener := desktopOpener()
	if u.demo == "" || u.noOpen || opener == "" || !u.owned {
		return
	}
	if err := openLink(ctx, opener, link); err != nil {
		u.app.note("oarlock: open dashboard: %v", err)
	}
}

// verdicts prints the table of tls-check. Conflicts are part of what a demo shows.
func (u *upRun) verdicts(ctx context.Context) error {
	a, l, err := u.load(ctx)
	if err != nil {
		return err
	}
	t := &tlsCheck{app: a, format: "table", mesh: l}
	if err := t.printTables(t.classes()); err != nil && asFailure(err, exitUnreadable).code != exitFindings {
		return err
	}
	return nil
}

// load gives the mesh as it runs, and an app of which the flags name it alone.
func (u *upRun) load(ctx context.Context) (*app, *loaded, error) {
	a := *u.app
	a.flags.mesh, a.flags.files = u.name, nil
	l, err := a.loadRunning(ctx)
	return &a, l, err
}

// strict says whether the policy of a namespace, or of the mesh, requires mTLS there.
func (l *loaded) strict(namespace string) bool {
	rules, err := change.InForce(l.snap, change.Resource{Scope: change.ScopeNamespace, Namespace: namespace})
	return err == nil && len(rules) > 0 && rules[0].Mode == mesh.ModeStrict
}

// tries lists three things to do, which can be pasted as they are.
func (u *upRun) tries(ctx context.Context, s *api.Status) []string {
	with := ""
	if names, err := runningNames(); err == nil && len(names) > 1 {
		with = " --mesh " + u.name
	}
	out := []string{"oarlock tls-check" + with}
	for i := range s.Pods {
		if p := &s.Pods[i]; p.Sidecar {
			if p.Owner != nil {
				verb := "require"
				if _, l, err := u.load(ctx); err == nil && l.strict(p.Namespace) {
					verb = "allow" // to require what is required changes nothing
				}
				out = append(out, "oarlock mtls "+verb+" "+p.Namespace+with)
			}
			name := podWord(p)
			out = append(out, "oarlock logs "+name+" -c istio-proxy"+with)
			break
		}
	}
	if len(out) < 3 {
		out = append(out, "oarlock status"+with)
	}
	return out
}

// stay waits for Ctrl-C, or until somebody else takes the mesh down.
func (u *upRun) stay(ctx context.Context, m *runningMesh) error {
	word := "takes it down"
	if !u.owned {
		word = "leaves it running"
	}
	fmt.Fprintln(u.app.stderr)
	u.app.note("mesh %s runs; Ctrl-C %s", m.name, word)
	for failures := 0; ; {
		_, changed, err := m.engine.Running(ctx)
		switch {
		case ctx.Err() != nil:
			return u.end(m)
		case errors.Is(err, fs.ErrNotExist):
			u.app.note("mesh %s was taken down", m.name)
			return nil
		case err != nil: // it may be on its way down
			if failures++; failures > silentLooks {
				return unreadable(fmt.Errorf("run mesh %s: its engine gives no answer any more: %w", m.name, err), "oarlock down "+m.name)
			}
			closed := make(chan struct{})
			close(closed)
			changed = closed
			pause(ctx, silentPause)
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// How often and how long an engine may give no answer.
const (
	silentLooks = 30
	silentPause = 100 * time.Millisecond
)

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// end takes down what this process started.
func (u *upRun) end(m *runningMesh) error {
	if !u.owned {
		u.app.note("mesh %s goes on; oarlock down %s ends it", m.name, m.name)
		return nil
	}
	u.app.note("taking mesh %s down …", m.name)
	if err := takeDown(m.name); err != nil {
		return err
	}
	u.app.note("mesh %s is down, and nothing is left of it", m.name)
	return nil
}

// endQuietly takes down what this process started and cannot use.
func (u *upRun) endQuietly(m *runningMesh) error {
	if !u.owned {
		return nil
	}
	return takeDown(m.name)
}

func takeDown(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), downPatience)
	defer cancel()
	if err := local.Stop(ctx, name); err != nil {
		return unreadable(err, "")
	}
	return nil
}

// A statusLine shows on a terminal how far something is, and nothing elsewhere.
type statusLine struct {
	app   *app
	shown string
}

func (a *app) statusLine() *statusLine { return &statusLine{app: a} }

func (l *statusLine) set(text string) {
	if f := terminalOf(l.app.stderr); f != nil && text != l.shown {
		l.shown = text
		fmt.Fprint(f, "\r\x1b[K"+clean(text))
	}
}

func (l *statusLine) clear() {
	if f := terminalOf(l.app.stderr); f != nil && l.shown != "" {
		fmt.Fprint(f, "\r\x1b[K")
	}
}
