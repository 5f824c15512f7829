package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/web"
)

// The Plane is the web.Mesh of its API: what follows answers for it.
var _ web.Mesh = (*Plane)(nil)

func head(kind string) api.Head { return api.Head{APIVersion: api.Version, Kind: kind} }

// Now implements web.Mesh.
func (p *Plane) Now() *web.Now {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// tell makes what is in force known to the API. The caller does not hold mu.
func (p *Plane) tell() {
	p.mu.Lock()
	p.told++
	n := &web.Now{Number: p.told, Taken: p.taken.snap, Files: p.taken.files, Problems: p.taken.problems, Running: p.running, Published: p.resolver}
	if p.held != nil {
		n.Held = p.held.why
	}
	n.At = p.versions.times[versionOf(p.published)]
	p.now = n
	p.mu.Unlock()
	p.api.Took(n)
}

// Acknowledged implements web.Mesh.
func (p *Plane) Acknowledged() <-chan struct{} { return p.xds.Changed() }

// Coverage implements web.Mesh.
func (p *Plane) Coverage(version string) (api.Coverage, bool) {
	nodes := p.xds.InForce()
	p.mu.Lock()
	defer p.mu.Unlock()
	if version == "" {
		version = versionOf(p.published)
	}
	_, known := p.versions.order[version]
	return p.coverage(nodes, version), known
}

// Have implements web.Mesh.
func (p *Plane) Have(version string) (map[mesh.Ref]bool, bool) {
	nodes := p.xds.InForce()
	p.mu.Lock()
	defer p.mu.Unlock()
	if version == "" {
		version = versionOf(p.published)
	}
	_, known := p.versions.order[version]
	out := make(map[mesh.Ref]bool, len(nodes))
	for _, n := range nodes {
		if p.versions.reached(n.Number, version) {
			out[n.Pod] = true
		}
	}
	return out, known
}

// Read implements web.Mesh.
func (p *Plane) Read(ctx context.Context) (mesh.Reading, []manifest.File, error) {
	return p.opt.Source.ReadFiles(ctx)
}

// Load implements web.Mesh.
func (p *Plane) Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem) {
	return p.opt.Source.Load(files)
}

// Expect implements web.Mesh.
func (p *Plane) Expect(hashes map[string]string) { p.opt.Source.Expect(hashes) }

// Reload implements web.Mesh: it lets the goroutine that reads do so once more, and waits for it.
func (p *Plane) Reload(ctx context.Context) (*api.Reload, error) {
	done := make(chan struct{})
	select {
	case p.reloads <- done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &api.Reload{Head: head("Reload"), Snapshot: versionOf(p.published), Problems: web.Problems(p.taken.problems)}
	if p.held != nil {
		out.Held, out.Problems = p.held.why, web.Problems(p.held.problems)
	}
	return out, nil
}

// Sync implements web.Mesh.
func (p *Plane) Sync(ctx context.Context, version string) *api.Sync {
	p.mu.Lock()
	if version == "" {
		version = versionOf(p.published)
	}
	_, known := p.versions.order[version]
	p.mu.Unlock()
	if !known {
		return nil
	}
	return p.wait(ctx, version)
}

// Rotate implements web.Mesh.
func (p *Plane) Rotate(r api.Rotate) error {
	switch r.Step {
	case "prepare":
		return p.authority.Prepare()
	case "activate":
		return p.authority.Activate(r.Force)
	case "retire":
		return p.authority.Retire(r.Force)
	}
	return p.authority.Rotate()
}

// Token implements web.Mesh. A token is bound to whom the xDS server takes its bearer's node for: it opens what it is for, and
// nothing else.
func (p *Plane) Token(r api.TokenRequest) (*api.Token, error) {
	w := p.xds.Workload(r.Namespace, r.Pod)
	status, err := http.StatusConflict, error(nil)
	switch {
	case p.Now().Published == nil:
		status, err = http.StatusServiceUnavailable, errors.New("it is not known yet what runs")
	case w == nil:
		status, err = http.StatusNotFound, errors.New("the mesh has no such workload")
	case w.Capture != mesh.CaptureSidecar:
		err = fmt.Errorf("it has no sidecar: %s", w.CaptureReason)
	case w.ServiceAccount == "":
		err = errors.New("it names no serviceAccount, of which its identity is made")
	}
	if err != nil {
		return nil, web.Refusal(status, fmt.Errorf("issue token for %.63s/%.253s: %w", r.Namespace, r.Pod, err))
	}
	who := identity(w)
	id, err := who.SPIFFEID(p.authority.TrustDomain())
	if err != nil {
		return nil, web.Refusal(status, fmt.Errorf("issue token for %s/%s: %w", r.Namespace, r.Pod, err))
	}
	token, expires, err := p.tokens.Issue(who)
	if err != nil {
		return nil, err
	}
	return &api.Token{Head: head("Token"), Namespace: r.Namespace, Pod: r.Pod, Identity: id.String(), Expires: expires, Token: token}, nil
}

// CA implements web.Mesh.
func (p *Plane) CA() *api.CA { return &api.CA{Head: head("CA"), CAStatus: p.caStatus()} }

func (p *Plane) caStatus() api.CAStatus {
	s := p.authority.Status()
	bundle, _ := p.authority.Bundle()
	out := api.CAStatus{TrustDomain: s.TrustDomain, Rotating: s.Rotating, Bundle: bundle.Version}
	for _, one := range s.Slots {
		out.Authorities = append(out.Authorities, api.Authority(one))
	}
	return out
}

// Status implements web.Mesh.
func (p *Plane) Status() *api.Status {
	nodes := p.nodes()
	p.mu.Lock()
	defer p.mu.Unlock()
	snap := p.taken.snap
	out := &api.Status{
		Head: head("MeshStatus"), Mesh: p.opt.Name, Manifests: p.opt.Source.Places(), Dialect: snap.Dialect.String(),
		TrustDomain: p.authority.TrustDomain().Name(), Snapshot: versionOf(p.published), Started: p.started, PID: os.Getpid(),
		Services: len(snap.Services), Nodes: []api.Node{}, Pods: []api.Pod{}, Unenforced: []api.Unenforced{}, CA: p.caStatus(), AccessLog: accessLog(&snap.Config),
	}
	all := p.taken.problems
	if p.held != nil {
		out.Held, all = p.held.why, p.held.problems
	}
	if p.running != nil {
		out.Capture, out.CaptureWhy, out.Pods = p.running.Capture, p.running.CaptureWhy, pods(p.running)
		all = slices.Concat(all, p.running.Problems)
	}
	out.Sync, _ = p.missing(nodes, versionOf(p.published))
	for i := range nodes {
		out.Nodes = append(out.Nodes, nodes[i].Node)
	}
	out.Problems = web.Problems(all)
	for _, u := range snap.Unenforced {
		out.Unenforced = append(out.Unenforced, api.Unenforced{Object: web.Ref(u.Ref), Origin: web.Origin(u.Origin), Why: u.Why})
	}
	return out
}

// Manifests implements web.Mesh.
func (p *Plane) Manifests() *api.Manifests {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &api.Manifests{Head: head("Manifests"), Snapshot: versionOf(p.published), Dialect: p.taken.snap.Dialect.String(),
		Paths: p.opt.Source.Places(), Files: []api.File{}}
	for _, f := range p.taken.files {
		out.Files = append(out.Files, api.File(f))
	}
	if r := p.running; r != nil {
		out.Running = api.Running{Capture: r.Capture, CaptureWhy: r.CaptureWhy, Pods: pods(r)}
		for service, ip := range r.ServiceIPs {
			out.Running.ServiceIPs = append(out.Running.ServiceIPs, api.ServiceIP{Service: web.Ref(service), IP: ip})
		}
		slices.SortFunc(out.Running.ServiceIPs, func(a, b api.ServiceIP) int {
			return mesh.Ref{Kind: mesh.Kind(a.Service.Kind), Namespace: a.Service.Namespace, Name: a.Service.Name}.Compare(
				mesh.Ref{Kind: mesh.Kind(b.Service.Kind), Namespace: b.Service.Namespace, Name: b.Service.Name})
		})
	}
	return out
}

func accessLog(c *mesh.Config) api.AccessLog {
	on := c.AccessLogFile != "" && c.AccessLogFile != os.DevNull
	return api.AccessLog{On: on, File: c.AccessLogFile, Encoding: c.AccessLogEncoding, Format: c.AccessLogFormat}
}

func pods(r *mesh.Running) []api.Pod {
	out := []api.Pod{}
	for i := range r.Pods {
		out = append(out, web.PodShape(&r.Pods[i]))
	}
	return out
}
