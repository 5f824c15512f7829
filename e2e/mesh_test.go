//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/bootstrap"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// programs is where the built programs lie.
var programs = struct{ dir string }{os.Getenv("OARLOCK_E2E_BIN")}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oarlock-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if programs.dir == "" {
		out, err := exec.Command("go", "build", "-o", dir, "../cmd/oarlock", "../cmd/oarlock-proxy").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "build programs: %v\n%s", err, out)
			return 1
		}
		programs.dir = dir
	}
	return m.Run()
}

// A liveMesh is one that runs for a test.
type liveMesh struct {
	t    testing.TB
	dir  string // its manifests, a copy that the test may change
	name string
	env  []string
	home string
	// mark is in the environment of all its processes as OARLOCK_RUN, net the second byte of its addresses.
	mark string
	net  int
	// isDown says that the test took it down itself.
	isDown bool
}

// copyExample copies an example's manifests, so that a test may change them. Those of an old Istio take a connection that
// says nothing for 100 ms for plaintext: on a machine that does much else, a sidecar's hello may be that late.
func copyExample(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "examples", name))); err != nil {
		t.Fatal(err)
	}
	if first := "    rootNamespace: istio-system\n"; !strings.HasSuffix(name, "-current") {
		(&liveMesh{t: t, dir: dir}).edit("mesh.yaml", first, first+"    protocolDetectionTimeout: 30s\n")
	}
	return dir
}

// up runs an example until the test ends, and waits until every pod is ready and every sidecar in sync.
func up(t testing.TB, example string, flags ...string) *liveMesh {
	t.Helper()
	return upDir(t, copyExample(t, example), flags...)
}

func upDir(t testing.TB, dir string, flags ...string) *liveMesh {
	t.Helper()
	// Unix sockets have short names: not under t.TempDir.
	home, err := os.MkdirTemp("", "oe*m")
	if err != nil {
		t.Fatal(err)
	}
	m := &liveMesh{t: t, dir: dir, name: filepath.Base(home), home: home}
	if i := slices.Index(flags, "--name"); i >= 0 {
		m.name = flags[i+1] // of two, the last counts
	}
	m.env = append(os.Environ(), "XDG_STATE_HOME="+home+"/s", "XDG_RUNTIME_DIR="+home+"/r", "PATH="+programs.dir+":"+os.Getenv("PATH"), "NO_COLOR=1")
	t.Cleanup(func() {
		if t.Failed() {
			m.keepLogs()
		}
		out, code := m.try("down", m.name)
		if code != 0 && !m.isDown {
			t.Errorf("oarlock down: %d\n%s", code, out)
		}
		os.RemoveAll(home)
	})
	if err := os.MkdirAll(home+"/r", 0o700); err != nil {
		t.Fatal(err)
	}
	m.do(append([]string{"up", "-f", dir, "--name", m.name, "--detach", "--timeout", "2m", "--capture", captureMode()}, flags...)...)
	var engine struct{ Mark string }
	m.state("engine.json", &engine)
	var addresses struct{ Net int }
	m.state("addresses.json", &addresses)
	if m.mark, m.net = engine.Mark, addresses.Net; m.mark == "" || m.net == 0 {
		t.Fatalf("the mesh has mark %q and network %d", m.mark, m.net)
	}
	return m
}

// state reads a file of the mesh's own folder.
func (m *liveMesh) state(name string, out any) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.home, "s", "oarlock", "meshes", m.name, name))
	if err := errors.Join(err, json.Unmarshal(b, out)); err != nil {
		m.t.Fatalf("read %s: %v", name, err)
	}
}

// captureMode is explicit, unless the environment says otherwise.
func captureMode() string {
	if mode := os.Getenv("OARLOCK_E2E_CAPTURE"); mode != "" {
		return mode
	}
	return "explicit"
}

func (m *liveMesh) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	m.t.Cleanup(cancel)
	c := exec.CommandContext(ctx, filepath.Join(programs.dir, "oarlock"), args...)
	c.Env = m.env
	c.WaitDelay = 5 * time.Second
	return c
}

// try runs a command and gives what it wrote and its exit status.
func (m *liveMesh) try(args ...string) (string, int) {
	c := m.command(args...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	case err != nil:
		return string(out) + err.Error(), -1
	}
	return string(out), 0
}

// do runs a command that must succeed, and gives its standard output.
func (m *liveMesh) do(args ...string) string {
	m.t.Helper()
	c := m.command(args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		m.t.Fatalf("oarlock %s: %v\n%s%s", strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

func (m *liveMesh) status() *api.Status {
	m.t.Helper()
	var out api.Status
	text, err := m.command("status", "-o", "json").Output() // exit status 1 says that something is wrong
	if err := errors.Join(json.Unmarshal(text, &out), unless[*exec.ExitError](err)); err != nil {
		m.t.Fatalf("oarlock status -o json: %v", err)
	}
	return &out
}

// unless drops an error of a kind.
func unless[E error](err error) error {
	if _, ok := errors.AsType[E](err); ok {
		return nil
	}
	return err
}

// pod finds a running pod by the start of its name.
func (m *liveMesh) pod(namespace, prefix string) api.Pod {
	m.t.Helper()
	pods := m.status().Pods
	i := slices.IndexFunc(pods, func(p api.Pod) bool { return p.Namespace == namespace && strings.HasPrefix(p.Name, prefix) })
	if i < 0 {
		m.t.Fatalf("no pod %s… in %s", prefix, namespace)
	}
	return pods[i]
}

// patience is for a machine that does much else; how soon something comes is logged where it matters.
const patience = time.Minute

// eventually waits for something that a mesh comes to by itself, and shows the last text of ok where it does not.
func (m *liveMesh) eventually(what string, ok func() (string, bool)) {
	m.t.Helper()
	m.within(patience, what, ok)
}

// within does the same for what takes its time.
func (m *liveMesh) within(most time.Duration, what string, ok func() (string, bool)) {
	m.t.Helper()
	var last string
	for end := time.Now().Add(most); ; time.Sleep(50 * time.Millisecond) {
		text, done := ok()
		if done {
			return
		}
		if last = text; time.Now().After(end) {
			break
		}
	}
	m.t.Fatalf("not within %v: %s\n%s", most, what, last)
}

// A sample is one series of a sidecar with its value.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// scrape reads the series of a pod's sidecar, by its admin socket: a transparent mesh has a network of its own. The value of
// a histogram is its count. One that gives no answer is asked again: what is counted is compared with what was.
func (m *liveMesh) scrape(p api.Pod) []sample {
	m.t.Helper()
	socket := m.adminSocket(p)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	var out []sample
	m.eventually("the sidecar of "+p.Name+" tells what it counts", func() (string, bool) {
		res, err := client.Get("http://sidecar/stats/prometheus")
		if err != nil {
			return err.Error(), false
		}
		defer res.Body.Close()
		out, err = samples(res.Body)
		return fmt.Sprint(err), err == nil
	})
	return out
}

// samples reads series in Prometheus's text format.
func samples(text io.Reader) (out []sample, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	for name, f := range families {
		for _, series := range f.GetMetric() {
			s := sample{name: name, labels: map[string]string{}}
			for _, l := range series.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			switch {
			case series.Counter != nil:
				s.value = series.Counter.GetValue()
			case series.Gauge != nil:
				s.value = series.Gauge.GetValue()
			case series.Untyped != nil:
				s.value = series.Untyped.GetValue()
			case series.Histogram != nil:
				s.value = float64(series.Histogram.GetSampleCount())
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// adminSocket is where a pod's sidecar answers questions.
func (m *liveMesh) adminSocket(p api.Pod) string {
	m.t.Helper()
	f, err := bootstrap.Read(filepath.Join(m.home, "s", "oarlock", "meshes", m.name, "pods", p.Namespace, p.Name, "bootstrap.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	return f.Admin.Socket
}

// sum adds the series of a name whose labels include some.
func sum(samples []sample, name string, labels map[string]string) float64 {
	total := 0.0
next:
	for _, s := range samples {
		if s.name != name {
			continue
		}
		for k, v := range labels {
			if s.labels[k] != v {
				continue next
			}
		}
		total += s.value
	}
	return total
}

// keepLogs puts the end of every log of the mesh into the test's output.
func (m *liveMesh) keepLogs() {
	filepath.WalkDir(m.home, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".log") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return nil
		}
		m.t.Logf("%s:\n%s", strings.TrimPrefix(path, m.home), b[max(0, len(b)-700):])
		return nil
	})
}

// add copies a scene's file beside the manifests.
func (m *liveMesh) add(scene string) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", "scenes", scene))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(filepath.Base(scene), string(b))
}

// write makes or replaces a file of the manifests, as an editor does: nobody reads half of it.
func (m *liveMesh) write(file, text string) {
	m.t.Helper()
	whole := filepath.Join(m.t.TempDir(), "whole")
	if err := errors.Join(os.WriteFile(whole, []byte(text), 0o644), os.Rename(whole, filepath.Join(m.dir, file))); err != nil {
		m.t.Fatal(err)
	}
}

// edit replaces a text in a file of the manifests.
func (m *liveMesh) edit(file, from, to string) {
	m.t.Helper()
	text := m.read(file)
	if !strings.Contains(text, from) {
		m.t.Fatalf("%s: no %q", file, from)
	}
	m.write(file, strings.Replace(text, from, to, 1))
}

// synced waits until what the files say is in force everywhere. The control plane is asked to look at them first: it may not
// yet have seen what was written last.
func (m *liveMesh) synced() {
	m.t.Helper()
	plane := m.plane()
	m.eventually("every sidecar in sync", func() (string, bool) {
		if _, err := plane.Reload(m.t.Context(), api.Wrote{}); err != nil {
			return err.Error(), false
		}
		s := m.status()
		ready := !slices.ContainsFunc(s.Pods, func(p api.Pod) bool { return !p.Ready && p.Phase != "Succeeded" })
		return fmt.Sprintf("%d of %d in force, held %q, pods %+v", s.Sync.InForce, s.Sync.Total, s.Held, s.Pods), s.Held == "" && s.Sync.InForce == s.Sync.Total && s.Sync.Total > 0 && ready
	})
}

// curl runs curl in a pod and gives what it wrote on both outputs.
func (m *liveMesh) curl(pod api.Pod, args ...string) (string, int) {
	m.t.Helper()
	return m.try(append([]string{"exec", pod.Name, "-n", pod.Namespace, "--", "curl", "-sS", "--max-time", "30"}, args...)...)
}

// calls runs curl in a pod again and again until the test ends: what was seen once is soon too long ago to be shown.
func (m *liveMesh) calls(pod api.Pod, args ...string) {
	m.t.Helper()
	c := exec.Command(filepath.Join(programs.dir, "oarlock"), append([]string{"exec", pod.Name, "-n", pod.Namespace, "--",
		"sh", "-c", `while :; do curl -sS --max-time 30 "$@"; sleep 1; done`, "sh"}, args...)...)
	c.Env = m.env
	if err := c.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
}

// matches says whether a regular expression matches.
func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// fromOutside asks a pod without being in the mesh: from a sidecar's place, past its capture, as a node or a scanner would.
// It gives the status code, and curl's exit status.
func (m *liveMesh) fromOutside(at api.Pod, url string) (string, int) {
	m.t.Helper()
	return m.try("exec", at.Name, "-n", at.Namespace, "-c", "istio-proxy", "--", "curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", url)
}
