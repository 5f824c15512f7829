package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

const (
	startBound = 30 * time.Second
	killBound  = 5 * time.Second
)

// Start starts the engine of a mesh as a process of its own, in a session of its own, and waits until it answers. What an
// engine of that name left behind when it was killed is cleaned up before. A mesh that runs already is an error that wraps
// fs.ErrExist.
func Start(ctx context.Context, o StartOptions) (*Client, error) {
	paths, err := PathsOf(o.Name)
	if err == nil {
		err = checkStart(o)
	}
	if err != nil {
		return nil, fmt.Errorf("start mesh: %w", err)
	}
	c, err := start(ctx, o, paths)
	if err != nil {
		return nil, fmt.Errorf("start mesh %s: %w", o.Name, err)
	}
	return c, nil
}

func checkStart(o StartOptions) error {
	if !filepath.IsAbs(o.Executable) {
		return fmt.Errorf("executable %q: want an absolute path", o.Executable)
	}
	if len(o.Engine) == 0 {
		return errors.New("no command line for the engine")
	}
	return nil
}

func start(ctx context.Context, o StartOptions, paths Paths) (*Client, error) {
	if err := ownFolder(paths.State); err != nil {
		return nil, err
	}
	unlock, err := lockMesh(paths)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r := readRun(paths); r.Engine.alive() {
		return nil, fmt.Errorf("it runs already, as process %d: %w", r.Engine.PID, fs.ErrExist)
	}
	if err := clean(paths); err != nil {
		return nil, err
	}
	if err := ownFolder(filepath.Dir(paths.Run)); err != nil {
		return nil, err
	}
	if err := ownFolder(paths.Run); err != nil {
		return nil, err
	}
	mark := make([]byte, 16)
	_, _ = rand.Read(mark)
	config := engineConfig{Version: configVersion, Paths: paths, Executable: o.Executable, Engine: o.Engine, Control: o.Control, Lease: o.Lease,
		Mark: hex.EncodeToString(mark), Started: time.Now().UTC().Truncate(time.Second)}
	if err := chooseCapture(&config, o.Capture); err != nil {
		return nil, err
	}
	if err := writeJSON(paths.config(), config); err != nil {
		return nil, err
	}
	return launchEngine(ctx, o, paths)
}

// chooseCapture takes the way that was asked for, or finds out which this machine allows.
func chooseCapture(c *engineConfig, want string) error {
	c.Capture, c.CaptureWhy = CaptureExplicit, "it was asked for"
	if want == "" || want == CaptureExplicit {
		return nil
	}
	ok, rootless, reason := FabricSupport()
	switch {
	case !ok && want == CaptureTransparent:
		return fmt.Errorf("capture transparently: %s", reason)
	case !ok && want == CaptureAuto:
		c.CaptureWhy = "transparent is not possible here: " + reason
	case ok && (want == CaptureAuto || want == CaptureTransparent):
		c.Capture, c.Rootless = CaptureTransparent, rootless
		if want == CaptureAuto {
			c.CaptureWhy = "this machine allows network namespaces"
		}
	default:
		return fmt.Errorf("capture %q: want %s, %s or %s", want, CaptureAuto, CaptureExplicit, CaptureTransparent)
	}
	return nil
}

func launchEngine(ctx context.Context, o StartOptions, paths Paths) (*Client, error) {
	log, err := openLog(paths.EngineLog())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(o.Executable, append(slices.Clone(o.Engine), paths.config())...)
	cmd.Dir, cmd.Env = "/", o.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c := newClient(paths)
	if o.Lease {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		cmd.ExtraFiles, c.lease = []*os.File{r}, w // it is leaseFD there
	}
	from, _ := log.Seek(0, io.SeekEnd)
	if err := cmd.Start(); err != nil {
		c.Close()
		return nil, err
	}
	exited := make(chan struct{})
	go func() { // ends with the engine, or with this process
		_ = cmd.Wait()
		close(exited)
	}()
	if err := c.awaitEngine(ctx, exited, cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		<-exited
		c.Close()
		return nil, fmt.Errorf("%w%s", err, tail(paths.EngineLog(), from))
	}
	return c, nil
}

// awaitEngine waits until the engine that was started answers.
func (c *Client) awaitEngine(ctx context.Context, exited <-chan struct{}, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		s, err := c.state(ctx, nil)
		if err == nil && s.Engine.PID == pid {
			return nil
		}
		select {
		case <-exited:
			return errors.New("its engine ended")
		default:
		}
		if !sleep(ctx, 2*time.Millisecond) {
			return fmt.Errorf("wait for its engine: %w", ctx.Err())
		}
	}
}

// tail gives what was written to a log after from, for an error; 2 kB at most.
func tail(name string, from int64) string {
	b, err := os.ReadFile(name)
	if err != nil || int64(len(b)) <= from {
		return ""
	}
	b = bytes.TrimSpace(b[from:])
	if len(b) > 2<<10 {
		b = b[len(b)-2<<10:]
	}
	return ": " + string(b)
}

// lockMesh keeps two commands from starting or removing one mesh at the same time. The lock's file goes with the mesh, so
// one that got the lock of a file that is gone by then asks again.
func lockMesh(paths Paths) (unlock func(), err error) {
	for range 100 {
		f, err := os.OpenFile(paths.lock(), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock: %w", err)
		}
		ours, err1 := f.Stat()
		there, err2 := os.Stat(paths.lock())
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err := ownFolder(paths.State); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("lock: its folder comes and goes")
}

// readRun reads what the last engine recorded; the zero value where there was none, or it cannot be read.
func readRun(paths Paths) runRecord {
	var r runRecord
	if err := readJSON(paths.run(), &r); err != nil || r.Version != runVersion {
		return runRecord{}
	}
	return r
}

// clean ends what an engine that is gone left running, by its marks and by the identities that it recorded, and removes
// its sockets.
func clean(paths Paths) error {
	r := readRun(paths)
	for _, id := range r.Children {
		id.kill(unix.SIGKILL)
	}
	marks := []string{r.Mark}
	var config engineConfig
	if readJSON(paths.config(), &config) == nil {
		marks = append(marks, config.Mark)
	}
	for _, m := range marks {
		if m != "" {
			killMarked(markVariable, m)
		}
	}
	for _, id := range r.Children {
		if !waitGone(id, killBound) {
			return fmt.Errorf("end process %d of the run before: it does not end", id.PID)
		}
	}
	if err := os.RemoveAll(paths.Run); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(paths.State, "pods"))
}

// Stop ends the mesh and removes its folders: nothing is left. A mesh whose engine is gone is cleaned up; that of a name
// that no mesh has is an error that wraps fs.ErrNotExist. When ctx ends before the mesh does, it is killed.
func Stop(ctx context.Context, name string) error {
	paths, err := PathsOf(name)
	if err == nil {
		err = stop(ctx, paths)
	}
	if err != nil {
		return fmt.Errorf("stop mesh %s: %w", name, err)
	}
	return nil
}

func stop(ctx context.Context, paths Paths) error {
	if _, err := os.Stat(paths.State); err != nil {
		return fmt.Errorf("it does not run: %w", fs.ErrNotExist)
	}
	unlock, err := lockMesh(paths)
	if err != nil {
		return err
	}
	defer unlock()
	if r := readRun(paths); r.Engine.alive() {
		askToStop(ctx, paths, r.Engine)
	}
	if _, err := os.Stat(paths.State); err == nil {
		if err := clean(paths); err != nil {
			return err
		}
	}
	err = errors.Join(os.RemoveAll(paths.Run), os.RemoveAll(paths.State))
	removeEmpty(paths)
	return err
}

// removeEmpty removes the folders above the mesh's that nobody needs any more.
func removeEmpty(paths Paths) {
	for _, dir := range []string{filepath.Dir(paths.Run), filepath.Dir(paths.State), filepath.Dir(filepath.Dir(paths.State))} {
		_ = os.Remove(dir) // fails where something is in it
	}
}

// askToStop waits until the engine has ended by itself, or kills it: the kernel kills its children with it.
func askToStop(ctx context.Context, paths Paths, engine processID) {
	c := newClient(paths)
	defer c.Close()
	resp, err := c.do(ctx, "POST", "/v1/stop", nil)
	if err == nil {
		resp.Body.Close()
		for ctx.Err() == nil && engine.alive() {
			sleep(ctx, 5*time.Millisecond)
		}
	}
	engine.kill(unix.SIGKILL)
	waitGone(engine, killBound)
}

// Stop ends the mesh; see the function Stop.
func (c *Client) Stop(ctx context.Context) error { return Stop(ctx, c.paths.Name) }

// Meshes lists the meshes of this user, by name. Nothing is changed.
func Meshes() ([]Mesh, error) {
	root, err := stateRoot()
	if err != nil {
		return nil, fmt.Errorf("list meshes: %w", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list meshes: %w", err)
	}
	var out []Mesh
	for _, e := range entries {
		paths, err := PathsOf(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		r := readRun(paths)
		m := Mesh{Name: e.Name(), Dir: paths.State, Started: r.Started, Stale: !r.Engine.alive()}
		if !m.Stale {
			m.PID = r.Engine.PID
		}
		out = append(out, m)
	}
	return out, nil
}

// Exec implements mesh.Engine.
func (c *Client) Exec(ctx context.Context, pod mesh.Ref, e mesh.Exec) (int, error) {
	code, err := c.exec(ctx, pod, e)
	if err != nil {
		return 0, fmt.Errorf("run command in pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return code, nil
}

// lowPorts says whether this process may listen on ports below 1024.
func lowPorts() bool {
	if os.Geteuid() == 0 {
		return true
	}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return false
	}
	first, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return err == nil && first <= 80
}
