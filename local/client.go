package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// Client talks to the engine of one mesh. It is a mesh.Engine. Methods may be called from any goroutine; Close must be
// called, and then those that wait return.
type Client struct {
	paths Paths
	http  *http.Client
	lease *os.File // nil where the mesh outlives the client

	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup

	applying sync.Mutex // held during Apply; guards what follows
	tokens   map[mesh.Ref]podToken

	mu       sync.Mutex
	held     net.Listener // see taker
	renew    time.Time
	watching bool
	seq      uint64
	change   chan struct{} // closed when the state is later than seq
}

// Open gives a Client of a mesh that runs. A mesh that does not is an error that wraps fs.ErrNotExist.
func Open(ctx context.Context, name string) (*Client, error) {
	paths, err := PathsOf(name)
	if err != nil {
		return nil, err
	}
	c := newClient(paths)
	if _, err := c.state(ctx, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func newClient(paths Paths) *Client {
	c := &Client{paths: paths, tokens: map[mesh.Ref]podToken{}, change: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	var d net.Dialer
	c.http = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", paths.engineSocket())
		},
	}}
	return c
}

// Paths are the mesh's folders.
func (c *Client) Paths() Paths { return c.paths }

// Close ends what waits on the Client, and gives up the lease of a mesh that was started with one: that ends the mesh.
func (c *Client) Close() {
	c.cancel()
	c.wait.Wait()
	c.http.CloseIdleConnections()
	if c.lease != nil {
		c.lease.Close()
	}
	c.release()
}

// do asks the engine. A response that is not 2xx is an error.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		if _, statErr := os.Stat(c.paths.engineSocket()); errors.Is(statErr, fs.ErrNotExist) {
			err = fmt.Errorf("it does not run: %w", fs.ErrNotExist)
		}
		return nil, fmt.Errorf("ask the engine of mesh %s: %w", c.paths.Name, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	err = errors.New(strings.TrimSpace(string(text)))
	if resp.StatusCode == http.StatusNotFound {
		err = notFound{err.Error()}
	}
	return nil, err
}

// notFound is an error that wraps fs.ErrNotExist without saying so.
type notFound struct{ text string }

func (e notFound) Error() string { return e.text }
func (e notFound) Unwrap() error { return fs.ErrNotExist }

// state reads the engine's state; with after it waits for one that is another.
func (c *Client) state(ctx context.Context, after *uint64) (*state, error) {
	path := "/v1/state"
	if after != nil {
		path += "?after=" + strconv.FormatUint(*after, 10)
	}
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var s state
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("read state of mesh %s: %w", c.paths.Name, err)
	}
	if s.Version != wireVersion {
		return nil, fmt.Errorf("read state of mesh %s: its engine speaks version %d, this program %d", c.paths.Name, s.Version, wireVersion)
	}
	return &s, nil
}

// Running implements mesh.Engine. The channel is closed also when the engine is gone.
func (c *Client) Running(ctx context.Context) (*mesh.Running, <-chan struct{}, error) {
	s, err := c.state(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	out := &mesh.Running{ServiceIPs: map[mesh.Ref]string{}, Capture: s.Capture, CaptureWhy: s.CaptureWhy, Problems: s.Problems}
	for _, ip := range s.ServiceIPs {
		out.ServiceIPs[ip.Ref] = ip.IP
	}
	for _, p := range s.Pods {
		out.Pods = append(out.Pods, mesh.Pod{Workload: p.Workload, Phase: p.Phase, Ready: p.Ready, Reason: p.Reason, Restarts: p.Restarts, Started: p.Started})
	}
	return out, c.changed(s.Seq), nil
}

// changed gives a channel that is closed when the state is later than seq.
func (c *Client) changed(seq uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching && seq < c.seq {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	if seq > c.seq {
		c.seq = seq
	}
	if !c.watching && c.ctx.Err() == nil {
		c.watching = true
		c.wait.Go(c.watch)
	}
	return c.change
}

// watch follows the engine's state, for all calls of Running together.
func (c *Client) watch() {
	for c.ctx.Err() == nil {
		c.mu.Lock()
		after := c.seq
		c.mu.Unlock()
		s, err := c.state(c.ctx, &after)
		if err == nil && s.Seq == after {
			continue
		}
		c.mu.Lock()
		if err == nil {
			c.seq = s.Seq
		}
		close(c.change)
		c.change = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			sleep(c.ctx, 200*time.Millisecond)
		}
	}
}

// Control says what the control plane's process is: 0 where none runs, how often it was started again, and why last.
func (c *Client) Control(ctx context.Context) (pid, restarts int, reason string, err error) {
	s, err := c.state(ctx, nil)
	if err != nil || s.Control == nil {
		return 0, 0, "", err
	}
	return s.Control.PID, s.Control.Restarts, s.Control.Reason, nil
}

// Process is one process of a pod.
type Process struct {
	Container string
	PID       int // 0: it does not run
	Restarts  int
}

// PodFiles is where a pod has its things.
type PodFiles struct {
	// Dir is the pod's folder, and Sidecar the working directory of commands in its sidecar's container.
	Dir, Sidecar string
	// Admin is the admin socket of the sidecar; "" where the pod has none.
	Admin string
	// Host is the address of this machine at which the ports of the pod are, if it is a gateway. A port below 1024 is
	// 10000 higher where this user may not listen there.
	Host netip.Addr
	// Processes are its processes, the sidecar's first.
	Processes []Process
}

// Pod says where a pod has its things.
func (c *Client) Pod(ctx context.Context, pod mesh.Ref) (PodFiles, error) {
	p, err := c.find(ctx, pod)
	if err != nil {
		return PodFiles{}, err
	}
	out := PodFiles{Dir: p.Dir, Sidecar: filepath.Join(p.Dir, mesh.SidecarContainer), Admin: p.Admin, Host: p.Host}
	for _, e := range p.Containers {
		out.Processes = append(out.Processes, Process{e.Name, e.PID, e.Restarts})
	}
	return out, nil
}

func (c *Client) find(ctx context.Context, pod mesh.Ref) (*podState, error) {
	s, err := c.state(ctx, nil)
	if err != nil {
		return nil, err
	}
	for i := range s.Pods {
		if s.Pods[i].Workload.Ref == pod {
			return &s.Pods[i], nil
		}
	}
	return nil, notFound{fmt.Sprintf("find pod %s/%s: no such pod runs", pod.Namespace, pod.Name)}
}

// Logs implements mesh.Engine.
func (c *Client) Logs(ctx context.Context, pod mesh.Ref, container string, follow bool) (io.ReadCloser, error) {
	q := url.Values{"namespace": {pod.Namespace}, "pod": {pod.Name}, "container": {container}, "follow": {strconv.FormatBool(follow)}}
	resp, err := c.do(ctx, http.MethodGet, "/v1/logs?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return &logBody{resp.Body, ctx}, nil
}

// logBody ends with io.EOF when the caller's context does: that is how a log that is followed ends.
type logBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *logBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.ctx.Err() != nil {
		err = io.EOF
	}
	return n, err
}

// Admin implements mesh.Engine.
func (c *Client) Admin(ctx context.Context, pod mesh.Ref) (net.Conn, error) {
	p, err := c.find(ctx, pod)
	if err != nil {
		return nil, err
	}
	if p.Admin == "" {
		return nil, fmt.Errorf("connect to the sidecar of pod %s/%s: it has none", pod.Namespace, pod.Name)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", p.Admin)
	if err != nil {
		return nil, fmt.Errorf("connect to the sidecar of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return conn, nil
}

// podToken is a token and when another must be there.
type podToken struct {
	token   string
	expires time.Time
	renew   time.Time
}

// Apply plans what the snapshot says and hands it to the engine. It returns when all changes are under way. Pods whose
// template did not change go on undisturbed; their files are replaced, tokens among them. Apply it again at RenewAt.
func (c *Client) Apply(ctx context.Context, snap *mesh.Snapshot, s Settings) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	want, err := c.plan(snap, s)
	if err != nil {
		return fmt.Errorf("apply to mesh %s: %w", c.paths.Name, err)
	}
	body, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("apply to mesh %s: %w", c.paths.Name, err)
	}
	resp, err := c.do(ctx, http.MethodPut, "/v1/desired", body)
	if err != nil {
		return fmt.Errorf("apply to mesh %s: %w", c.paths.Name, err)
	}
	return resp.Body.Close()
}

// RenewAt says when Apply must be called again, at the latest, for tokens to stay valid: at 80 % of the life of the first
// that ends. It is zero where there are none.
func (c *Client) RenewAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.renew
}

func (c *Client) plan(snap *mesh.Snapshot, s Settings) (*desired, error) {
	var config engineConfig
	if err := readJSON(c.paths.config(), &config); err != nil {
		return nil, err
	}
	if w := cmp.Or(s.Capture, CaptureAuto); w != CaptureAuto && w != config.Capture {
		return nil, fmt.Errorf("capture %s: its engine was started for %s, because %s", w, config.Capture, config.CaptureWhy)
	}
	numbers, err := c.readAddresses()
	if err != nil {
		return nil, err
	}
	hostname, _ := os.Hostname()
	m := machine{paths: c.paths, executable: config.Executable, lowPorts: lowPorts(), hostname: hostname, network: numbers,
		way: config.Capture, wayWhy: config.CaptureWhy}
	if m.way == CaptureTransparent {
		m.network = fabricNetwork{}
	}
	p := newPlanner(m, snap, s, numbers)
	if p.tokens, err = c.takeTokens(p.pods, s); err != nil {
		return nil, err
	}
	want := p.plan()
	return want, writeJSON(c.paths.addresses(), numbers)
}

// usedNets are the networks of the other meshes of this user, and those where somebody else's processes listen.
func usedNets(p Paths) map[int]bool {
	used := listeningNets()
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(p.State), "*", filepath.Base(p.addresses())))
	for _, name := range files {
		var a addresses
		if readJSON(name, &a) == nil {
			used[a.Net] = true
		}
	}
	return used
}

func (c *Client) readAddresses() (*addresses, error) {
	numbers := &addresses{}
	if err := readJSON(c.paths.addresses(), numbers); err != nil {
		return nil, err
	}
	switch numbers.Version {
	case addressesVersion:
	case 0:
		c.release() // of a plan that failed
		return newAddresses(c.paths.Name, c.taker(usedNets(c.paths)))
	default:
		return nil, fmt.Errorf("read %s: version %d: this program reads %d", c.paths.addresses(), numbers.Version, addressesVersion)
	}
	return numbers, nil
}

// taker keeps a network for the mesh until its own processes listen there: another mesh that comes up at this moment sees
// it free as well.
func (c *Client) taker(used map[int]bool) func(*addresses) bool {
	return func(a *addresses) bool {
		if used[a.Net] {
			return false
		}
		l, err := net.Listen("tcp", netip.AddrPortFrom(a.prober(0), healthPort).String())
		if err != nil {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = l
		return true
	}
}

// release gives up what taker has kept.
func (c *Client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		c.held.Close()
	}
}

// takeTokens gives every pod with a sidecar a token that has most of its life before it.
func (c *Client) takeTokens(pods []*planned, s Settings) (map[mesh.Ref]string, error) {
	if s.Token == nil {
		return nil, nil
	}
	out, kept, now := map[mesh.Ref]string{}, map[mesh.Ref]podToken{}, time.Now()
	var renew time.Time
	for _, p := range pods {
		if !p.meshed() || p.number == 0 {
			continue
		}
		t := c.tokens[p.w.Ref]
		if t.token == "" || !now.Before(t.renew) {
			token, expires, err := s.Token(p.w)
			if err != nil {
				return nil, fmt.Errorf("issue token of %s: %w", p.w.Ref, err)
			}
			t = podToken{token, expires, now.Add(expires.Sub(now) * 8 / 10)}
		}
		out[p.w.Ref], kept[p.w.Ref] = t.token, t
		if renew.IsZero() || t.renew.Before(renew) {
			renew = t.renew
		}
	}
	c.tokens = kept
	c.mu.Lock()
	c.renew = renew
	c.mu.Unlock()
	return out, nil
}
