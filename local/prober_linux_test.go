package local

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/mesh"
)

// TestProbersArePlanned: every sidecar has an address for its probes that is nobody's else, and counts none of those that
// probes come from, which no pod and no service has.
func TestProbersArePlanned(t *testing.T) {
	for _, c := range []struct {
		name               string
		change             func(*machine)
		outside, web, pods string
	}{
		{"explicit", func(*machine) {}, "127.70.0.1", "127.70.0.3", "127.70.0.0/24"},
		{"transparent", func(m *machine) { m.way, m.network = CaptureTransparent, fabricNetwork{} }, "10.244.1.1", "10.244.1.3", "10.244.1.0/24"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m machine
			d := planOf(t, pair(plainServer, plainClient), c.change, func(have *machine) { m = *have })
			web := specOf(t, d, "web")
			capture := web.Sidecar.Bootstrap.Capture
			if got := fmt.Sprint(capture.Uncounted, " ", capture.Prober); got != "["+c.pods+"] "+c.web {
				t.Errorf("uncounted and prober: %s", got)
			}
			if got := m.network.prober(outsideNumber); got.String() != c.outside || !capture.Uncounted[0].Contains(got) {
				t.Errorf("the prober outside is %s", got)
			}
			if web.Net != nil && web.Net.Prober != capture.Prober {
				t.Errorf("the pod's network has %s for a prober", web.Net.Prober)
			}
			for n := range lastNumber + 1 {
				for _, a := range []netip.Addr{m.network.pod(n), m.network.app(n), m.network.service(n), m.network.door(n, 3)} {
					if capture.Uncounted[0].Contains(a) {
						t.Fatalf("%s is a prober's", a)
					}
				}
			}
		})
	}
}

// TestDialIsNoTraffic: a Client's connections come from where the sidecars do not count.
func TestDialIsNoTraffic(t *testing.T) {
	for way, start := range map[string]func(*testing.T) *Client{
		CaptureExplicit:    func(t *testing.T) *Client { return newMesh(t) },
		CaptureTransparent: func(t *testing.T) *Client { return newFabricMesh(t) },
	} {
		t.Run(way, func(t *testing.T) {
			c := start(t)
			apply(t, c, shop)
			r := await(t, c, "all pods are ready", allReady(4))
			conn, err := c.Dial(t.Context(), "tcp", podOf(t, r, "cart").Workload.Addresses[0]+":8080")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			from := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
			for _, f := range sidecarFiles(t, c, r) {
				if !f.Capture.Uncounted[0].Contains(from) {
					t.Errorf("%s counts what comes from %s: %v", f.Node.Pod, from, f.Capture.Uncounted)
				}
			}
		})
	}
}

// sidecarFiles reads what the sidecars of a mesh start from.
func sidecarFiles(t *testing.T, c *Client, r *mesh.Running) []*bootstrap.File {
	t.Helper()
	var out []*bootstrap.File
	for _, p := range r.Pods {
		if p.Workload.Capture != mesh.CaptureSidecar {
			continue
		}
		f, err := bootstrap.Read(c.paths.pod(p.Workload.Ref.Namespace, p.Workload.Ref.Name) + "/" + bootstrapFile)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		t.Fatal("no pod has a sidecar")
	}
	return out
}

// TestInsideProber: engine and pods have their probers besides, and nothing comes from these that does not ask for it.
func TestInsideProber(t *testing.T) {
	if !isInside() {
		return
	}
	own, other := netip.MustParseAddr("10.244.1.1"), netip.MustParseAddr("10.244.1.10")
	f := newTestFabric(t, func(c *FabricConfig) { c.Prober = own })
	server := addPod(t, f, "server", "10.244.0.20", false)
	client, err := f.AddPod(PodNet{Name: "client", IP: netip.MustParseAddr("10.244.0.10"), Prober: other})
	if err != nil {
		t.Fatal(err)
	}
	l, err := server.Listen(t.Context(), "tcp4", "10.244.0.20:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	from := func(ip netip.Addr) dialer {
		d := &net.Dialer{Timeout: 30 * time.Second}
		if ip.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
		}
		return d.DialContext
	}
	inClient := func(dial dialer) dialer {
		return func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			err = client.do(func() error { c, err = dial(ctx, network, addr); return err })
			return c, err
		}
	}
	for _, c := range []struct {
		name, want string
		dial       dialer
	}{
		{"engine", "10.244.0.1", from(netip.Addr{})},
		{"engine as a prober", "10.244.1.1", from(own)},
		{"pod", "10.244.0.10", inClient(from(netip.Addr{}))},
		{"pod as a prober", "10.244.1.10", inClient(from(other))},
	} {
		conn, err := c.dial(t.Context(), "tcp4", "10.244.0.20:8080")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := accepted.RemoteAddr().(*net.TCPAddr).IP.String(); got != c.want {
			t.Errorf("%s comes from %s, want %s", c.name, got, c.want)
		}
		accepted.Close()
		conn.Close()
	}
}
