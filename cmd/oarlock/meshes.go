package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/web"
)

// runningMesh is a mesh of this machine, and whom to ask about it.
type runningMesh struct {
	name   string
	paths  local.Paths
	plane  *api.Client // the control plane
	engine *local.Client
	// served is the folder of a control plane that serves alone: it has neither paths nor engine. "" of every other mesh.
	served string
}

// close lets go of the connections.
func (m *runningMesh) close() {
	m.plane.Close()
	if m.engine != nil {
		m.engine.Close()
	}
}

// attach finds the running mesh that the global flags name, for a verb that asks nothing else.
func (a *app) attach(ctx context.Context, verb string) (*runningMesh, error) {
	if err := a.localOnly(verb); err != nil {
		return nil, err
	}
	return a.reach(ctx)
}

// reach opens the mesh that --mesh or --dir names, else the only one that runs.
func (a *app) reach(ctx context.Context) (*runningMesh, error) {
	if dir := a.flags.dir; dir != "" {
		return &runningMesh{name: filepath.Base(dir), served: dir, plane: api.NewClient(filepath.Join(dir, apiSocket))}, nil
	}
	name, err := a.chooseMesh()
	if err != nil {
		return nil, err
	}
	return connect(ctx, name)
}

// attachEngine is attach for a verb that asks what runs the pods.
func (a *app) attachEngine(ctx context.Context, verb string) (*runningMesh, error) {
	if err := a.engineOnly(verb); err != nil {
		return nil, err
	}
	return a.reach(ctx)
}

// connect makes the clients of a mesh that runs.
func connect(ctx context.Context, name string) (*runningMesh, error) {
	engine, err := local.Open(ctx, name)
	if err != nil {
		return nil, unreadable(err, "")
	}
	paths := engine.Paths()
	return &runningMesh{name: name, paths: paths, plane: api.NewClient(paths.Socket(apiSocket)), engine: engine}, nil
}

// localOnly refuses flags that name another kind of mesh.
func (a *app) localOnly(verb string) error {
	f := &a.flags
	switch {
	case len(f.files) > 0:
		return usage(fmt.Errorf("run %s: it asks a mesh that runs, and -f names manifests; name the mesh with --mesh", verb), "")
	case f.context != "" || f.kubeconfig != "":
		return usage(fmt.Errorf("run %s: this version asks meshes of this machine only; leave out --context and --kubeconfig", verb), "")
	}
	return a.oneMesh()
}

// engineOnly is localOnly for what needs the engine, which a control plane that serves alone has not.
func (a *app) engineOnly(verb string) error {
	if err := a.localOnly(verb); err != nil || a.flags.dir == "" {
		return err
	}
	return usage(fmt.Errorf("run %s: it is for pods that run here, and the control plane of --dir runs none", verb), "oarlock proxy-status --dir "+quoteWord(a.flags.dir))
}

// chooseMesh gives the name of the mesh that is meant.
func (a *app) chooseMesh() (string, error) {
	names, err := runningNames()
	if err != nil {
		return "", unreadable(fmt.Errorf("find meshes: %w", err), "")
	}
	switch {
	case a.flags.mesh != "" && slices.Contains(names, a.flags.mesh):
		return a.flags.mesh, nil
	case a.flags.mesh != "" && len(names) == 0:
		return "", unreadable(fmt.Errorf("open mesh %q: no mesh runs on this machine", a.flags.mesh), "oarlock up -f DIR")
	case a.flags.mesh != "":
		return "", unreadable(fmt.Errorf("open mesh %q: it does not run; these do: %s", a.flags.mesh, strings.Join(names, ", ")), a.withMesh(names))
	case len(names) == 1:
		return names[0], nil
	case len(names) == 0:
		return "", errNoMesh
	}
	return "", usage(fmt.Errorf("choose mesh: %s run; name one with --mesh", someAnd(names)), a.withMesh(names))
}

// errNoMesh says that there is no mesh to choose.
var errNoMesh = errors.New("no mesh runs on this machine")

// noMesh is what a verb says that needs a running mesh where there is none.
func noMesh(verb string, err error) error {
	if errors.Is(err, errNoMesh) {
		return unreadable(fmt.Errorf("run %s: %w", verb, errNoMesh), "oarlock up -f DIR")
	}
	return err
}

// withMesh is this command with the mesh that was probably meant.
func (a *app) withMesh(names []string) string {
	near := nearest(a.flags.mesh, names)
	if near == "" {
		near = names[0]
	}
	end := slices.Index(a.args, "--") // behind it is a command of its own
	if end < 0 {
		end = len(a.args)
	}
	put := func(i int, word string) string {
		words := slices.Clone(a.args)
		words[i] = word
		return "oarlock " + quoteWords(words)
	}
	for i, w := range a.args[:end] {
		switch {
		case w == "--mesh" && i+1 < end:
			return put(i+1, near)
		case strings.HasPrefix(w, "--mesh="):
			return put(i, "--mesh="+near)
		}
	}
	for i, w := range slices.Backward(a.args[:end]) {
		if w != "" && w == a.flags.mesh && !a.flagValue(i) { // status MESH
			return put(i, near)
		}
	}
	return "oarlock " + quoteWords(slices.Insert(slices.Clone(a.args), end, "--mesh", near))
}

func quoteWords(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, quoteWord(w))
	}
	return strings.Join(out, " ")
}

// someAnd lists names for a message.
func someAnd(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// runningNames lists the meshes that run, in order.
func runningNames() ([]string, error) {
	meshes, err := local.Meshes()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range meshes {
		if m.Stale {
			continue
		}
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names, nil
}

// status asks the control plane how the mesh is.
func (m *runningMesh) status(ctx context.Context) (*api.Status, error) {
	s, err := m.plane.Status(ctx)
	if err != nil {
		return nil, m.unanswered(err)
	}
	if m.served != "" {
		m.name = s.Mesh
	}
	return s, nil
}

// podsOnly is status for verbs that need no more than the pods: while the control plane is away, the engine tells them.
func (m *runningMesh) podsOnly(ctx context.Context) (*api.Status, error) {
	s, err := m.plane.Status(ctx)
	if err == nil && len(s.Pods) > 0 { // one that has just started does not know yet what runs
		return s, nil
	}
	r, _, rerr := m.engine.Running(ctx)
	if rerr != nil {
		return nil, m.unanswered(cmp.Or(err, rerr))
	}
	s = &api.Status{Mesh: m.name, AccessLog: api.AccessLog{On: true}} // for all that is known
	for i := range r.Pods {
		p := &r.Pods[i]
		one := api.Pod{Namespace: p.Workload.Ref.Namespace, Name: p.Workload.Ref.Name, Labels: p.Workload.Labels, Addresses: p.Workload.Addresses,
			Sidecar: p.Workload.Capture == mesh.CaptureSidecar, Phase: string(p.Phase), Ready: p.Ready}
		if o := p.Workload.Owner; !o.IsZero() {
			one.Owner = &api.Ref{Kind: string(o.Kind), Namespace: o.Namespace, Name: o.Name}
		}
		s.Pods = append(s.Pods, one)
	}
	return s, nil
}

// unanswered is an error of asking the control plane, which the engine starts again when it ends.
func (m *runningMesh) unanswered(err error) error {
	if m.served != "" {
		return unreadable(fmt.Errorf("ask mesh in %s: %w", m.served, err), "oarlock serve -f MANIFESTS --dir "+quoteWord(m.served))
	}
	again := ""
	if !reachable(err) {
		again = "; the engine starts the control plane again"
	}
	return unreadable(fmt.Errorf("ask mesh %s: %w%s%s", m.name, err, again, m.logWord()), m.ask("status"))
}

// logWord says where the control plane logs; one that serves alone does so wherever its standard error goes.
func (m *runningMesh) logWord() string {
	if m.served != "" {
		return ""
	}
	return "; its log is " + m.paths.ControlLog()
}

// ask is the command that asks this mesh with a verb that takes its name.
func (m *runningMesh) ask(verb string) string {
	if m.served != "" {
		return "oarlock " + verb + " --dir " + quoteWord(m.served)
	}
	return "oarlock " + verb + " " + m.name
}

// reachable says whether somebody listened where an error comes from.
func reachable(err error) bool {
	return !slices.ContainsFunc([]error{syscall.ECONNREFUSED, syscall.ECONNRESET, io.EOF, fs.ErrNotExist}, func(gone error) bool { return errors.Is(err, gone) })
}

// attachPod attaches a command to the mesh that runs, and finds the pod that it is for. The caller closes the mesh.
func (a *app) attachPod(ctx context.Context, command, arg string) (*runningMesh, *api.Status, *api.Pod, error) {
	m, err := a.attachEngine(ctx, command)
	if err != nil {
		return nil, nil, nil, noMesh(command, err)
	}
	s, err := m.podsOnly(ctx)
	if err == nil {
		var p *api.Pod
		if p, err = a.chosenPod(s, arg); err == nil {
			return m, s, p, nil
		}
	}
	m.close()
	return nil, nil, nil, err
}

// chosenPod finds the one pod that arg means among those that run: POD[.NS], NS/POD, or a workload, deploy/NAME[.NS], for
// its first pod.
func (a *app) chosenPod(s *api.Status, arg string) (*api.Pod, error) {
	best, found := 0, []*api.Pod(nil)
	for _, q := range web.Readings(arg, a.namespace()) {
		for i := range s.Pods {
			p := &s.Pods[i]
			fit := fitPod(q, p)
			if fit > best {
				best, found = fit, found[:0]
			}
			if fit > 0 && fit == best {
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	if len(found) == 0 {
		var names []string
		for i := range s.Pods {
			names = append(names, podWord(&s.Pods[i]), s.Pods[i].Name)
		}
		return nil, usage(fmt.Errorf("find pod %q: no such pod runs in mesh %s", arg, s.Mesh), a.againNear(arg, names))
	}
	if sameNamespace(found) == 1 {
		return found[0], nil // of a workload's pods the first
	}
	var names []string
	for _, p := range found {
		names = append(names, podWord(p))
	}
	return nil, usage(fmt.Errorf("find pod %q: it could be %s", arg, someOf(names)), a.again(arg, names[0]))
}

// sameNamespace counts the namespaces of pods.
func sameNamespace(pods []*api.Pod) int {
	seen := map[string]bool{}
	for _, p := range pods {
		seen[p.Namespace] = true
	}
	return len(seen)
}

// How well a pod answers to a name.
const (
	fitsOwner = 1 + iota
	fitsName
)

// fitPod is fit for a pod that runs.
func fitPod(q web.Asked, p *api.Pod) int {
	switch {
	case q.Namespace != "" && p.Namespace != q.Namespace:
		return 0
	case p.Name == q.Name && (q.Kind == "" || q.Kind == mesh.KindPod):
		return fitsName
	case p.Owner != nil && p.Owner.Name == q.Name && (q.Kind == "" || string(q.Kind) == p.Owner.Kind):
		return fitsOwner
	}
	return 0
}

// podWord names a pod as a command takes it.
func podWord(p *api.Pod) string { return p.Name + "." + p.Namespace }

// podRef names a pod for the engine.
func podRef(p *api.Pod) mesh.Ref {
	return mesh.Ref{Kind: mesh.KindPod, Namespace: p.Namespace, Name: p.Name}
}

// The control plane's sockets, in the mesh's folder for them.
const (
	apiSocket = "api.sock"
	xdsSocket = "xds.sock"
)
