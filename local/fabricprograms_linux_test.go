package local

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

// TestFabricPrograms: programs that nobody changed call each other by service names, each through two sidecars.
func TestFabricPrograms(t *testing.T) {
	both(t, func(t *testing.T, rootless bool) { inside(t, "^TestPrograms$", rootless) })
}

// A program is a server of a pod, and a client that calls it by its service's name.
type program struct {
	name         string // of the service
	service      string // its address
	port         int    // of the pod
	server       []string
	ready        []string // succeeds in the server's pod once it serves
	client       []string
	want         string
	unprivileged bool // the server refuses to run as root
}

func programs(t *testing.T, dir string) []program {
	t.Helper()
	sh := meshtest.Require(t, "sh", "dash")
	redis, cli := meshtest.Require(t, "redis-server", "redis-server"), meshtest.Require(t, "redis-cli", "redis-tools")
	psql, curl := meshtest.Require(t, "psql", "postgresql-client"), meshtest.Require(t, "curl", "curl")
	nc := meshtest.Require(t, "nc", "netcat-openbsd")
	data := filepath.Join(dir, "db")
	postgres, initdb := postgresProgram(t, "postgres"), postgresProgram(t, "initdb")
	startDB := fmt.Sprintf(`%s -D %s -A trust -U app --no-sync >/dev/null && echo 'host all all 0.0.0.0/0 trust' >> %s/pg_hba.conf &&
		exec %s -D %s -k %s -c 'listen_addresses=*' -c fsync=off`, initdb, data, data, postgres, data, dir)
	return []program{
		{
			name: "web", service: "10.96.0.10:80", port: 8080,
			client: []string{curl, "-sS", "--max-time", "30", "http://web/"}, want: "server called from 127.0.0.6",
		}, {
			name: "cache", service: "10.96.0.11:6379", port: 6379,
			server: []string{redis, "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", dir},
			ready:  []string{cli, "ping"},
			client: []string{sh, "-c", "head -c 1000000 /dev/zero | tr '\\0' x | timeout 30 " + cli + " -h cache.shop -x set k && timeout 30 " + cli + " -h cache.shop strlen k"},
			want:   "OK\n1000000",
		}, {
			name: "db", service: "10.96.0.12:5432", port: 5432, unprivileged: true,
			server: []string{sh, "-c", startDB},
			ready:  []string{psql, "-h", "127.0.0.1", "-U", "app", "-c", "select 1", "postgres"},
			client: []string{psql, "-h", "db.shop.svc", "-U", "app", "-Atc", "select count(*), inet_client_addr() from generate_series(1, 100000)", "postgres"},
			want:   "100000|127.0.0.6",
		}, {
			// The server speaks first, on a port that only root may use elsewhere.
			name: "mail", service: "10.96.0.13:25", port: 25,
			server: []string{sh, "-c", "while :; do printf '220 mail.shop ready\\r\\n' | " + nc + " -N -l 0.0.0.0 25; done"},
			// Between two calls nobody listens for a moment.
			client: []string{sh, "-c", "for i in $(seq 100); do " + nc + " -w 30 mail.shop.svc.cluster.local 25 | grep . && exit; sleep 0.1; done; exit 1"},
			want:   "220 mail.shop ready",
		},
	}
}

func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err == nil && len(found) > 0 {
		return found[len(found)-1]
	}
	return meshtest.Require(t, name, "postgresql")
}

func TestPrograms(t *testing.T) {
	if !isInside() {
		return
	}
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		dir = foldersOf(t, nobody)
	}
	all := programs(t, dir)
	names, services, routes := map[string][]netip.Addr{}, map[netip.AddrPort][]netip.AddrPort{}, ""
	for _, p := range all {
		service, endpoint := netip.MustParseAddrPort(p.service), fmt.Sprintf("10.244.0.20:%d", p.port)
		names[p.name+".shop.svc.cluster.local"] = []netip.Addr{service.Addr()}
		services[service] = addrPorts(endpoint)
		routes += p.service + "=" + endpoint + " "
	}
	known := &Names{}
	known.Set(names, nil)
	f := newTestFabric(t, func(c *FabricConfig) { c.Names = known })
	client, server := addPod(t, f, "client", "10.244.0.10", true), addPod(t, f, "server", "10.244.0.20", true)
	plain := addPod(t, f, "plain", "10.244.0.30", false)
	if err := f.SetServices(services); err != nil {
		t.Fatal(err)
	}
	clientLog, serverLog := sidecarIn(t, client, routes), sidecarIn(t, server, "")
	webIn(t, server)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			p.serve(t, server)
			clientLog.take()
			serverLog.take()
			if got := runIn(t, client, p.client); !strings.HasPrefix(got, p.want) {
				t.Errorf("got %q, want %q", got, p.want)
			}
			if got := clientLog.take(); !strings.Contains(got, "outbound "+p.service+"\n") {
				t.Errorf("client's sidecar carried %q", got)
			}
			in := fmt.Sprintf("inbound 10.244.0.20:%d\n", p.port)
			if got := serverLog.take(); !strings.Contains(got, in) {
				t.Errorf("server's sidecar carried %q", got)
			}
			if got := runIn(t, plain, p.client); !strings.HasPrefix(got, p.want) {
				t.Errorf("without a sidecar: got %q, want %q", got, p.want)
			}
			if out, in2 := clientLog.take(), serverLog.take(); out != "" || !strings.Contains(in2, in) {
				t.Errorf("without a sidecar: sidecars carried %q and %q", out, in2)
			}
		})
	}
}

func (p program) serve(t *testing.T, pod *PodNamespace) {
	t.Helper()
	if p.server == nil {
		return
	}
	out := newPrinted(t)
	defer func() {
		if t.Failed() {
			t.Logf("%s says\n%s", p.name, out)
		}
	}()
	cmd := exec.Command(p.server[0], p.server[1:]...)
	cmd.Stdout, cmd.Stderr = out.file, out.file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = "/"
	if p.unprivileged && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	started(t, pod.Start, cmd)
	t.Cleanup(func() { endGroup(cmd) })
	if p.ready == nil {
		return // a connection is all that it takes at a time; the client tries again
	}
	eventually(t, p.name+" serves", func() bool {
		probe := exec.Command(p.ready[0], p.ready[1:]...)
		if err := pod.Start(probe); err != nil {
			t.Fatal(err)
		}
		return probe.Wait() == nil
	})
}

// endGroup asks first: a PostgreSQL that is killed leaves shared memory behind.
func endGroup(cmd *exec.Cmd) {
	group := -cmd.Process.Pid
	cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(30*time.Second, func() { syscall.Kill(group, syscall.SIGKILL) })
	cmd.Wait()
	late.Stop()
	syscall.Kill(group, syscall.SIGKILL)
}

func runIn(t *testing.T, pod *PodNamespace, argv []string) string {
	t.Helper()
	out := newPrinted(t)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out.file, out.file
	if err := pod.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", argv[0], err)
	}
	return out.take()
}
