//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/meshtest"
)

// locks counts the locks of a mesh's graph, and gives the graph.
func (m *liveMesh) locks(c *api.Client) (map[string]int, *api.Graph) {
	m.t.Helper()
	g, err := c.Graph(m.t.Context(), api.GraphQuery{})
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string]int{}
	for i := range g.Edges {
		out[g.Edges[i].Lock]++
	}
	return out, g
}

// allLocked waits until every edge of a mesh is locked.
func (m *liveMesh) allLocked(c *api.Client) {
	m.t.Helper()
	begin := time.Now()
	m.eventually("every edge is locked", func() (string, bool) {
		locks, g := m.locks(c)
		text := fmt.Sprint(locks, g.Trouble)
		for _, e := range g.Edges {
			if e.Lock != "locked" {
				text += fmt.Sprintf("\n%s: %s, %s", e.ID, e.Lock, e.Reason)
			}
		}
		return text, locks["locked"] > 5 && locks["locked"] == len(g.Edges)
	})
	m.t.Logf("every edge is locked after %v", time.Since(begin).Round(time.Millisecond))
}

// prometheus is Debian's, on an address of loopback of its own, with the sidecars of a mesh for targets.
type prometheus struct {
	t       *testing.T
	binary  string
	folder  string
	address string
	process *exec.Cmd
}

func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	address := fmt.Sprintf("127.%d.%d.%d:19090", 200+rand.N(50), rand.N(250), 1+rand.N(250)) // no mesh is there, and no port that the kernel gives
	p := &prometheus{t: t, binary: meshtest.Require(t, "prometheus", "prometheus"), folder: t.TempDir(), address: address}
	t.Cleanup(p.kill)
	return p
}

func (p *prometheus) start(interval time.Duration, targets []string) {
	p.t.Helper()
	config := fmt.Sprintf("global: {scrape_interval: %v, scrape_timeout: %[1]v}\nscrape_configs:\n- job_name: sidecars\n  metrics_path: /stats/prometheus\n"+
		"  static_configs: [{targets: [%s]}]\n", interval, strings.Join(targets, ", "))
	file := filepath.Join(p.folder, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.process = exec.Command(p.binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(p.folder, "data"),
		"--web.listen-address="+p.address, "--log.level=error")
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *prometheus) kill() {
	if p.process != nil {
		p.process.Process.Kill()
		p.process.Wait()
		p.process = nil
	}
}

// TestPrometheusOfSomebody runs a mesh that asks a Prometheus beside it. While that is away, what is declared is still told, no
// lock looks like anything but unknown, and everything says why; when it is back, so are the locks.
func TestPrometheusOfSomebody(t *testing.T) {
	t.Parallel() // it waits, for the most part
	if captureMode() != "explicit" {
		t.Skip("this Prometheus is outside of the mesh's network")
	}
	p := newPrometheus(t)
	m := up(t, "backyards", "--prometheus", "http://"+p.address, "--scrape-interval", "1s")
	m.synced()
	c := m.plane()
	away := func() (string, bool) {
		locks, g := m.locks(c)
		o, err := c.Overview(t.Context(), 0)
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprint(locks, g.Trouble, o.Trouble, o.Store), len(g.Edges) > 5 && locks["unknown"] == len(g.Edges) && strings.Contains(g.Trouble, "refused") &&
			o.Trouble != "" && o.Store.Kind == "prometheus" && !o.Store.OK && o.MTLS == nil
	}
	m.eventually("nothing is known before there is a Prometheus", away)
	stores := m.storeEvents(c)

	var targets []string
	for _, pod := range m.sidecars() {
		targets = append(targets, pod.Addresses[0]+":15090")
	}
	p.start(time.Second, targets)
	m.allLocked(c)
	m.eventually("the overview with a Prometheus", func() (string, bool) { // which may miss a scrape
		o, err := c.Overview(t.Context(), 0)
		return fmt.Sprintf("%+v %v", o, err), err == nil && o.Trouble == "" && o.MTLS != nil && *o.MTLS == 1 && o.Store.Up == len(targets)
	})
	m.eventually("edges with a Prometheus", func() (string, bool) {
		out, _ := m.try("edges")
		return out, matches(`frontpage\S* +\S*bookings\S* .*AUTO.* 100% mTLS.* locked`, out)
	})

	m.lockFollows(c)

	p.kill()
	begin := time.Now()
	m.eventually("nothing is known without", away)
	t.Logf("nothing is known %v after it is gone", time.Since(begin).Round(time.Millisecond))
	out, _ := m.try("edges")
	if !matches(`frontpage\S* +\S*bookings\S* .*AUTO.* unknown`, out) || matches(` (open|locked|mixed|broken) `, out) || !strings.Contains(out, "refused") {
		t.Errorf("edges without a Prometheus:\n%s", out)
	}
	if out, _ := m.try("status"); !strings.Contains(out, "prometheus is away") {
		t.Errorf("status without a Prometheus:\n%s", out)
	}
	stores.want("refused")
	p.start(time.Second, targets)
	m.allLocked(c)
	stores.want("")
}

// lockFollows disables mutual TLS of a service and takes that back: each time the lock shows what the store has, some scrapes later.
func (m *liveMesh) lockFollows(c *api.Client) {
	m.t.Helper()
	done, err := c.ChangeMTLS(m.t.Context(), api.MTLS{Verb: "disable", Resource: "backyards-demo/bookings:8080", Apply: api.Apply{Yes: true}})
	if err != nil || !done.Applied {
		m.t.Fatalf("disable: %+v %v", done, err)
	}
	begin := time.Now()
	m.eventually("that lock alone opens", func() (string, bool) {
		locks, g := m.locks(c)
		e := edgeTo(g, "frontpage", "bookings")
		return fmt.Sprint(locks), e != nil && e.Lock == "open" && locks["locked"] == len(g.Edges)-1
	})
	m.t.Logf("a lock opens %v after all sidecars have the change", time.Since(begin).Round(time.Millisecond))
	if _, err := c.Undo(m.t.Context(), api.Undo{Name: done.Name, Apply: api.Apply{Yes: true}}); err != nil {
		m.t.Fatal(err)
	}
	m.allLocked(c)
}

// storeEvents hears what the event stream tells of the store.
type storeEvents struct {
	m     *liveMesh
	heard chan string
}

func (m *liveMesh) storeEvents(c *api.Client) *storeEvents {
	ctx, cancel := context.WithCancel(context.Background())
	s, done := &storeEvents{m, make(chan string, 100)}, make(chan struct{})
	go func() {
		defer close(done)
		err := c.Events(ctx, 0, func(e *api.Event) error {
			if e.Type == "store" {
				select {
				case s.heard <- e.Text:
				case <-ctx.Done():
				}
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			m.t.Errorf("events: %v", err)
		}
	}()
	m.t.Cleanup(func() { cancel(); <-done })
	return s
}

// want waits for an event that has a text, or for one that has none.
func (s *storeEvents) want(text string) {
	s.m.t.Helper()
	for end := time.After(patience); ; {
		select {
		case got := <-s.heard:
			if got == text || text != "" && strings.Contains(got, text) {
				return
			}
		case <-end:
			s.m.t.Fatalf("no event of the store with %q", text)
		}
	}
}

// TestStoreOutlives kills the control plane: what was seen before is known after. Then its store is broken while it is away: it
// begins with an empty one, says so, and goes on.
func TestStoreOutlives(t *testing.T) {
	t.Parallel() // it waits, for the most part
	m := up(t, "backyards")
	m.synced()
	c := m.plane()
	m.allLocked(c)
	// points gives those of the trend that have requests and lie before a time.
	points := func(before time.Time) (n int, of *api.TrendAnswer) {
		trend, err := c.Trend(t.Context(), api.TrendQuery{Window: 8 * time.Minute, Points: 480})
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range trend.Times {
			if v := trend.Requests[i]; at.Before(before) && v != nil && *v > 0 {
				n++
			}
		}
		return n, trend
	}
	m.eventually("the trend has points", func() (string, bool) {
		n, _ := points(time.Now())
		return fmt.Sprint(n), n >= 3
	})
	since, killed := m.store(c).Since, time.Now()
	folder := m.killPlane(func(string) {})
	m.allLocked(c)
	m.eventually("the store is there since before the restart", func() (string, bool) {
		now := m.store(c) // it may say for a moment that a sidecar has not answered yet
		return fmt.Sprintf("since %v, was %v; %q", now.Since, since, now.Problem), now.Since.Equal(since) && now.Problem == ""
	})
	m.eventually("the trend has points of before the restart", func() (string, bool) {
		before, trend := points(killed)
		return fmt.Sprintf("%d: %+v", before, trend), before >= 2 // their places move with the time of the question
	})

	m.killPlane(func(folder string) {
		files, err := filepath.Glob(filepath.Join(folder, "db", "wal", "0*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("find the log of the store in %s: %q %v", folder, files, err)
		}
		for _, file := range files { // its middle is garbage, and its end is gone
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			copy(b[len(b)/3:], strings.Repeat("garbage", 100))
			if err := os.WriteFile(file, b[:len(b)*9/10], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		block := filepath.Join(folder, "db", "01KQ0000000000000000000000")
		for name, text := range map[string]string{"meta.json": `{"ulid": "01KQ0000000000000000000000", "minTime": 1, "maxTime": 2, "version": 1}`, "index": "garbage", "chunks/000001": "", "tombstones": "x"} {
			if err := errors.Join(os.MkdirAll(filepath.Join(block, filepath.Dir(name)), 0o700), os.WriteFile(filepath.Join(block, name), []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	})
	m.allLocked(c)
	m.eventually("the store says that its folder was broken", func() (string, bool) {
		now := m.store(c)
		return fmt.Sprintf("%+v", now), now.OK && strings.Contains(now.Problem, "set aside in "+filepath.Join(folder, "db.aside")) && now.Since.After(killed)
	})
	m.eventually("the status says so", func() (string, bool) {
		out, _ := m.try("status")
		return out, strings.Contains(out, "set aside")
	})
}

func (m *liveMesh) store(c *api.Client) api.Store {
	m.t.Helper()
	o, err := c.Overview(m.t.Context(), 0)
	if err != nil {
		m.t.Fatal(err)
	}
	return o.Store
}

// killPlane kills the control plane, lets somebody at the folder of its store, and waits until another one is up. It gives the
// folder.
func (m *liveMesh) killPlane(meanwhile func(folder string)) string {
	m.t.Helper()
	folder := filepath.Join(m.home, "s", "oarlock", "meshes", m.name, "control", "metrics")
	if _, err := os.Stat(folder); err != nil {
		m.t.Fatal(err)
	}
	plane := m.withoutPlane(func() { meanwhile(folder) })
	m.eventually("the control plane is back", func() (string, bool) {
		pid := m.planePID()
		return fmt.Sprint(pid), pid != 0 && pid != plane
	})
	m.synced()
	return folder
}

// withoutPlane kills the control plane, of which it gives the process, and does something while none is there.
func (m *liveMesh) withoutPlane(do func()) (pid int) {
	m.t.Helper()
	engine, pid := m.process(func(args string) bool { return strings.Contains(args, " engine ") }), m.status().PID
	m.kill("the engine", engine, syscall.SIGSTOP) // it would start another one at once
	defer syscall.Kill(engine, syscall.SIGCONT)
	m.kill("the control plane", pid, syscall.SIGKILL)
	do()
	return pid
}

// planePID is the process of the control plane, 0 while it gives no answer or says that something is wrong.
func (m *liveMesh) planePID() int {
	m.t.Helper()
	text, err := m.command("status", "-o", "json").Output()
	var s api.Status
	if err != nil || json.Unmarshal(text, &s) != nil {
		return 0
	}
	return s.PID
}

// TestSilentSidecar stops a sidecar for some seconds: it is named, all others are told of as before, and then it is back.
func TestSilentSidecar(t *testing.T) {
	m := up(t, "backyards")
	m.synced()
	c := m.plane()
	m.allLocked(c)
	pod, all := m.pod("backyards-demo", "notifications"), len(m.sidecars())
	pid := m.sidecarPID(pod)
	m.kill("the sidecar of notifications", pid, syscall.SIGSTOP)
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGCONT) })
	stopped := time.Now()
	m.eventually("it is told of", func() (string, bool) {
		_, g := m.locks(c)
		return fmt.Sprint(g.Down, m.store(c)), slices.Equal(g.Down, []string{pod.Name + ".backyards-demo"})
	})
	t.Logf("a sidecar that does not answer is named after %v", time.Since(stopped).Round(time.Millisecond))
	m.eventually("all others answer the store", func() (string, bool) {
		s := m.store(c)
		return fmt.Sprintf("%d of %d", s.Up, s.Targets), s.Up == all-1 && s.Targets == all
	})
	time.Sleep(time.Until(stopped.Add(5 * time.Second))) // and as it goes on
	m.eventually("all others are told of as before", func() (string, bool) {
		_, g := m.locks(c)
		for _, e := range g.Edges {
			if mine := strings.Contains(e.From+e.To, "notifications"); !mine && e.Lock != "locked" || e.Lock == "open" {
				return fmt.Sprintf("%s is %s: %s", e.ID, e.Lock, e.Reason), false
			}
		}
		return "", slices.Equal(g.Down, []string{pod.Name + ".backyards-demo"})
	})
	m.kill("the sidecar of notifications", pid, syscall.SIGCONT)
	m.eventually("it is back", func() (string, bool) {
		_, g := m.locks(c)
		return fmt.Sprint(g.Down), len(g.Down) == 0
	})
	m.allLocked(c)
}

// TestThousandsOfStreams opens event streams until none is given any more, on the socket and over the dashboard: there is a
// bound, it costs little, and afterwards everything works.
func TestThousandsOfStreams(t *testing.T) {
	const attempts = 2000
	m := up(t, "foo-bar-current")
	m.synced()
	pid := m.status().PID
	socket := filepath.Join(m.home, "r", "oarlock", m.name, "api.sock")
	link, err := url.Parse(m.link())
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(link.Fragment, "token=")
	doors := []struct {
		network, address, path string
		most                   int // streams at a time
	}{
		{"unix", socket, "/v1/events", 512},
		{"tcp", link.Host, "/api/v1/meshes/" + m.name + "/events", 256},
	}
	_, first := spent(t, pid)
	resident := first
	for _, d := range doors {
		for range 2 {
			open, refused := 0, 0
			var conns []net.Conn
			for range attempts {
				conn, status := openStream(t, d.network, d.address, d.path, token)
				switch status {
				case http.StatusOK:
					open++
					conns = append(conns, conn)
				case http.StatusServiceUnavailable:
					refused++
					conn.Close()
				default:
					t.Fatalf("%s: attempt %d is answered with %d", d.network, open+refused, status)
				}
			}
			if open == 0 || open > d.most || open+refused != attempts {
				t.Errorf("%s: %d of %d streams are open, want %d at most", d.network, open, attempts, d.most)
			}
			_, during := spent(t, pid)
			for _, conn := range conns {
				conn.Close()
			}
			m.eventually("there is room again", func() (string, bool) {
				conn, status := openStream(t, d.network, d.address, d.path, token)
				conn.Close()
				return fmt.Sprint(status), status == http.StatusOK
			})
			before := resident
			_, resident = spent(t, pid)
			t.Logf("%s: %d streams open, %d refused; resident %d MB before, %d with them, %d after", d.network, open, refused, before>>20, during>>20, resident>>20)
		}
	}
	if grown := resident - first; grown > 80<<20 { // a connection that is forgotten costs 20 KB at least
		t.Errorf("%d attempts cost %d MB", 4*attempts, grown>>20)
	}
	if out, code := m.try("status"); code != 0 {
		t.Errorf("status afterwards: %d\n%s", code, out)
	}
	if out, _ := m.try("edges"); !strings.Contains(out, "CONFLICT") {
		t.Errorf("edges afterwards:\n%s", out)
	}
}

// openStream asks for an event stream, and gives the status of the answer.
func openStream(t *testing.T, network, address, path, token string) (net.Conn, int) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, map[string]string{"unix": "oarlock", "tcp": address}[network], token)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("open stream: %v", err)
	}
	return conn, res.StatusCode // the connection is closed, not the body: it has no end
}
