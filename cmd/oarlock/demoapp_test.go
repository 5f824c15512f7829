package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// TestExamplesRunDemoApp: every argument that an example gives to demo-app is one that it takes, and every file is there.
func TestExamplesRunDemoApp(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "00-namespaces.yaml"))
	if err != nil || len(folders) < 5 {
		t.Fatalf("%d examples: %v", len(folders), err)
	}
	for _, f := range folders {
		snap := readExample(t, filepath.Dir(f))
		ran := 0
		for _, w := range snap.Workloads {
			for _, c := range w.Containers {
				if !slices.Equal(c.Command, []string{"oarlock", "demo-app"}) {
					t.Errorf("%s: container %s runs %q", w.Ref, c.Name, c.Command)
					continue
				}
				checkDemoApp(t, snap, w, &c)
				ran++
			}
		}
		if ran == 0 {
			t.Errorf("%s runs nothing", f)
		}
	}
}

func readExample(t *testing.T, dir string) *mesh.Snapshot {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var files []manifest.File
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, manifest.File{Name: p, Data: data})
	}
	snap, problems := manifest.Load(files, manifest.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return snap
}

func checkDemoApp(t *testing.T, snap *mesh.Snapshot, w *mesh.Workload, c *mesh.Container) {
	t.Helper()
	cmd := newDemoAppCommand(&app{})
	if err := cmd.ParseFlags(c.Args); err != nil {
		t.Errorf("%s: %v", w.Ref, err)
		return
	}
	f := &demoAppFlags{}
	get := func(name string) []string {
		list, err := cmd.Flags().GetStringArray(name)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	f.listens, f.calls = get("listen"), get("call")
	cfg, err := f.config()
	if err != nil {
		t.Errorf("%s: %v", w.Ref, err)
	}
	for _, l := range cfg.Listens {
		if !slices.ContainsFunc(c.Ports, func(p mesh.ContainerPort) bool { return p.Number == uint32(l.Port) }) {
			t.Errorf("%s: it listens on %s, and no port says so", w.Ref, l)
		}
	}
	for _, name := range []string{"tls-cert", "tls-key", "tls-ca"} {
		if file := cmd.Flag(name).Value.String(); file != "" && !mounted(snap, w, c, file) {
			t.Errorf("%s: --%s %s: no Secret holds it", w.Ref, name, file)
		}
	}
}

// mounted says whether a Secret of the example gives the container a file.
func mounted(snap *mesh.Snapshot, w *mesh.Workload, c *mesh.Container, file string) bool {
	for _, m := range c.Mounts {
		for _, v := range w.Volumes {
			for _, s := range snap.Secrets {
				if v.Name == m.Volume && v.Secret != nil && v.Secret.Name == s.Ref.Name && s.Ref.Namespace == w.Ref.Namespace && m.Path == filepath.Dir(file) {
					_, ok := s.Data[filepath.Base(file)]
					return ok
				}
			}
		}
	}
	return false
}

// TestDemoAppEndsOnSIGTERM: it says where it listens, and when it is told to end it prints what it counted.
func TestDemoAppEndsOnSIGTERM(t *testing.T) {
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), []string{"demo-app", "--pod", "web-1", "--version", "v2", "--listen", "http:0"}, strings.NewReader(""), w, io.Discard)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("it says nothing")
	}
	at := regexp.MustCompile(`msg=listening protocol=http address=\S+:(\d+)`).FindStringSubmatch(lines.Text())
	if at == nil {
		t.Fatalf("first line: %s", lines.Text())
	}
	resp, err := http.Get("http://127.0.0.1:" + at[1])
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var last string
	for lines.Scan() {
		last = lines.Text()
	}
	want := `{"service":"web-1","version":"v2","pod":"web-1","received":{"http:0":{"ok":1,"failed":0,"results":{"200":1}}},"sent":{}}`
	if code := <-ended; code != 0 || last != want {
		t.Errorf("status %d, last line\n%s\nwant\n%s", code, last, want)
	}
}
