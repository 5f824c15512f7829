//go:build linux

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"testing"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

// TestMain makes the test binary all the programs that a mesh runs: by its first argument.
func TestMain(m *testing.M) {
	if os.Args[0] == "oarlock-fabric-trial" {
		RunFabricTrial()
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "engine":
			os.Exit(engineMain(os.Args[2]))
		case "proxy":
			os.Exit(fakeSidecar(os.Args[3]))
		case "demo-app":
			os.Exit(fakeApp(os.Args[2:]))
		case "fetch":
			os.Exit(fetch(os.Args[2]))
		case "control":
			os.Exit(fakeControl(os.Args[2:]))
		case "starter":
			os.Exit(starterMain(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

func engineMain(config string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := Serve(ctx, config, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// fakeSidecar is a sidecar that carries bytes: from inbound doors to the application, from the others to where their
// original destination's name says in its environment of the test, the file "routes" in the folder above the pods.
func fakeSidecar(file string) int {
	wait := make(chan os.Signal, 1)
	signal.Notify(wait, syscall.SIGTERM)
	f, err := bootstrap.Read(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	admin, err := net.Listen("unix", f.Admin.Socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer admin.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz/ready", func(w http.ResponseWriter, _ *http.Request) {})
	go http.Serve(admin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })) // it has no cluster
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p, ok := f.Admin.Probes[r.URL.Path]
		if !ok {
			w.WriteHeader(404)
			return
		}
		resp, err := http.Get(p.HTTP)
		if err != nil {
			w.WriteHeader(500)
			return
		}
		resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	})
	if f.Capture.Transparent {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", CaptureInboundPort))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		go acceptAll(l, "")
	}
	for _, d := range f.Capture.Doors {
		l, err := net.Listen("tcp", d.Listen.String())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		to := net.JoinHostPort(f.Capture.Application.String(), fmt.Sprint(d.Original.Port()))
		if !d.Inbound {
			to = d.Original.String()
		}
		go acceptAll(l, to)
	}
	health, err := net.Listen("tcp", f.Admin.Health.String())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("sidecar of", f.Node.Pod)
	go http.Serve(health, mux)
	<-wait
	fmt.Println("sidecar drained")
	return 0
}

func acceptAll(l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			to := to
			d := net.Dialer{}
			if to == "" { // redirected: to where it was meant for, past redirection
				at, _ := redirectedFrom(c.(*net.TCPConn))
				to = at.String()
				d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(inboundSource)}
				d.Control = func(_, _ string, c syscall.RawConn) (err error) {
					cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, CaptureMark) })
					return errors.Join(cerr, err)
				}
			}
			up, err := d.Dial("tcp", to)
			if err != nil {
				return
			}
			defer up.Close()
			var wait sync.WaitGroup
			wait.Go(func() { io.Copy(up, c); up.(*net.TCPConn).CloseWrite() })
			io.Copy(c, up)
			wait.Wait()
		}()
	}
}

// daemon is a script that leaves a process behind, with a session and group of its own, and ends when its number is in the
// file that is its argument.
const daemon = `setsid sh -c 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 1000' "$0" & while [ ! -e "$0" ]; do sleep 0.01; done`

// fakeApp does what its arguments say, one after another.
func fakeApp(args []string) int {
	wait := make(chan os.Signal, 1)
	signal.Notify(wait, syscall.SIGTERM)
	for _, a := range args {
		verb, arg, _ := strings.Cut(a, ":")
		switch verb {
		case "http":
			mux := http.NewServeMux()
			mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, "%s %s\n", os.Getenv("HOSTNAME"), r.URL.Path)
			})
			l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("BIND_ADDR"), arg))
			if err != nil {
				fmt.Println(err)
				return 1
			}
			go http.Serve(l, mux)
		case "listen":
			l, err := net.Listen("tcp", arg)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			defer l.Close()
		case "print":
			fmt.Println(os.ExpandEnv(arg))
		case "cat":
			b, err := os.ReadFile(arg)
			fmt.Println(string(b), err)
		case "await": // a file
			for {
				if _, err := os.Stat(arg); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		case "exit":
			var code int
			fmt.Sscan(arg, &code)
			return code
		case "daemon": // with its number in a file
			if err := exec.Command("sh", "-c", daemon, os.ExpandEnv(arg)).Run(); err != nil {
				fmt.Println(err)
				return 1
			}
		case "stubborn":
			signal.Ignore(syscall.SIGTERM)
		case "fill":
			for range 3 {
				os.Stdout.Write([]byte(strings.Repeat("x", 4<<20) + "\n"))
			}
		}
	}
	<-wait
	fmt.Println("application ended")
	return 0
}

// fakeControl lives until it is told to end.
func fakeControl(args []string) int {
	fmt.Println("control", args)
	wait := make(chan os.Signal, 1)
	signal.Notify(wait, syscall.SIGTERM)
	<-wait
	return 0
}

// starterMain starts a mesh with a lease, applies what it reads, and waits to be killed.
func starterMain(name string) int {
	self, _ := os.Executable()
	c, err := Start(context.Background(), StartOptions{Name: name, Executable: self, Engine: []string{"engine"}, Lease: true, Capture: os.Args[3]})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var snap mesh.Snapshot
	if err := json.NewDecoder(os.Stdin).Decode(&snap); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := c.Apply(context.Background(), &snap, Settings{XDSAddress: "unix:" + c.Paths().Socket("xds.sock")}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("applied")
	select {}
}

// newMesh starts a mesh of the test's own, and holds that nothing is left of it.
func newMesh(t *testing.T, change ...func(*StartOptions)) *Client {
	t.Helper()
	dir := shortDir(t)
	t.Setenv("XDG_STATE_HOME", dir+"/s")
	t.Setenv("XDG_RUNTIME_DIR", dir+"/r")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := StartOptions{Name: "test", Executable: self, Engine: []string{"engine"}}
	for _, f := range change {
		f(&o)
	}
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var config engineConfig
	if err := readJSON(c.paths.config(), &config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(c.paths.EngineLog())
			t.Logf("engine.log:\n%s", b)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil && !strings.Contains(err.Error(), "does not run") {
			t.Error(err)
		}
		c.Close()
		for _, d := range []string{c.paths.State, c.paths.Run} {
			if _, err := os.Stat(d); err == nil {
				t.Errorf("%s is left", d)
			}
		}
		if left := withMark(markVariable, config.Mark); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
			killMarked(markVariable, config.Mark)
		}
	})
	return c
}

// shortDir is a folder whose path leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ok")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// await waits until the mesh is as wanted.
func await(t *testing.T, c *Client, what string, is func(*mesh.Running) bool) *mesh.Running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		r, changed, err := c.Running(ctx)
		if err != nil {
			t.Fatalf("wait until %s: %v", what, err)
		}
		if is(r) {
			return r
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for _, p := range r.Pods {
				t.Logf("%s: %s, ready %v, %d restarts: %s", p.Workload.Ref, p.Phase, p.Ready, p.Restarts, p.Reason)
			}
			t.Fatalf("waited a minute until %s", what)
		}
	}
}

func allReady(n int) func(*mesh.Running) bool {
	return func(r *mesh.Running) bool {
		for _, p := range r.Pods {
			if !p.Ready {
				return false
			}
		}
		return len(r.Pods) == n
	}
}

func podOf(t *testing.T, r *mesh.Running, workload string) mesh.Pod {
	t.Helper()
	for _, p := range r.Pods {
		if p.Workload.Ref.Namespace != "old" && (p.Workload.Owner.Name == workload || p.Workload.Ref.Name == workload) {
			return p
		}
	}
	t.Fatalf("no pod of %s", workload)
	return mesh.Pod{}
}

func processesOf(t *testing.T, c *Client, p mesh.Pod) map[string]int {
	t.Helper()
	f, err := c.Pod(t.Context(), p.Workload.Ref)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, e := range f.Processes {
		out[e.Container] = e.PID
	}
	return out
}

func sigkill(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		t.Fatal("it does not run")
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
