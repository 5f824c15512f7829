//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/oarlock/oarlock/api"
)

// What comes in and what goes out of a mesh is drawn and listed, whatever the policy of what is in no registry.
func TestDashboardOutside(t *testing.T) {
	t.Parallel()
	outside := echoHTTP(t)
	for _, c := range []struct{ policy, node, lock string }{
		{"ALLOW_ANY", "PassthroughCluster", "open"},
		{"REGISTRY_ONLY", "BlackHoleCluster", "broken"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			s := outsideStage(t, c.policy, outside)
			front := s.m.pod("backyards-demo", "frontpage")
			s.m.calls(front, "-o", "/dev/null", "http://known.example.org/", "-o", "/dev/null", "http://"+outside.host+":"+outside.port+"/")
			s.scene(t, "egress", func() { s.egress(c.node, c.lock) })
			s.scene(t, "ingress", s.ingress)
			if c.policy == "ALLOW_ANY" {
				s.scene(t, "a sidecar that says nothing", func() { s.silent(s.m.pod("backyards-demo", "payments")) })
			}
		})
	}
}

func outsideStage(t *testing.T, policy string, outside outsideServer) *stage {
	t.Helper()
	dir := copyExample(t, "backyards-current")
	(&liveMesh{t: t, dir: dir}).edit("mesh.yaml", "rootNamespace: istio-system", "rootNamespace: istio-system\n    outboundTrafficPolicy: {mode: "+policy+"}")
	for name, text := range map[string]string{
		"known.yaml": outside.manifests(),
		"public.yaml": "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: public, namespace: backyards-demo}\nspec:\n  selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.org]}]\n---\n" +
			"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: public, namespace: backyards-demo}\nspec:\n  hosts: [shop.example.org]\n  gateways: [public]\n  http: [{route: [{destination: {host: frontpage, port: {number: 8080}}}]}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := upDir(t, dir)
	m.synced()
	return watch(t, m, wide)
}

// egress: the declared host, and what is in no registry, are in graph and tables.
func (s *stage) egress(node, want string) {
	b := s.b
	b.to("Graph")
	b.until("the declared host", sentence("known.example.org, egress"))
	b.until("what calls it", sentence("frontpage-v1 to known.example.org port 80: "))
	b.until("what is in no registry", sentence(node+", egress"))
	b.until("who calls that", lock("frontpage-v1 to "+node, want))
	b.to("Table")
	b.until("its row", rowLock("frontpage-v1 → "+node, want))
	b.press("[aria-label='What the rows are'] label", "Services")
	for _, name := range []string{node, "known.example.org"} {
		b.until(name+" among the services", row(name)+`.includes("egress")`)
	}
	b.press("[aria-label='What the rows are'] label", "Workloads")
	b.until("with whom frontpage talks", `[...document.querySelectorAll("tbody tr")].some(e => e.innerText.includes("frontpage-v1") && e.innerHTML.includes("known.example.org (egress)"))`)
	b.press("[aria-label='What the rows are'] label", "Services")
	b.press("table a", node)
	b.see("outside of the mesh, called from it")
}

// ingress: a gateway whose workload is elsewhere leads to what it serves, and nothing is known of the traffic.
func (s *stage) ingress() {
	b := s.b
	b.open(s.address("graph"))
	b.until("the gateway", sentence("public, ingress"))
	b.until("what nobody called is unknown", lock("public to frontpage port 8080", "unknown"))
	b.to("Table")
	b.press("[aria-label='What the rows are'] label", "Services")
	b.until("who calls frontpage", `[...document.querySelectorAll("tbody tr")].some(e => e.innerText.includes("frontpage") && e.innerHTML.includes("public (ingress)"))`)
}

// silent stops a sidecar: all there is to know comes from the sidecars themselves, and what is missing is said.
func (s *stage) silent(of api.Pod) {
	b := s.b
	b.to("Overview")
	b.see("9 of 9 sidecars answered the last time")
	pid := s.m.sidecarPID(of)
	s.m.kill("the sidecar", pid, syscall.SIGSTOP)
	defer syscall.Kill(pid, syscall.SIGCONT)
	b.to("Graph")
	b.until("what is not known is said", `document.body.innerText.match(/No metrics from 1 sidecar: .*/)?.[0].includes(`+quoted(of.Name)+`)`)
	b.to("Table")
	b.press("[aria-label='What the rows are'] label", "Workloads")
	b.until("a warning in its row", `/\t[1-9]\d*$/.test(`+row("payments-v1")+`.trim())`)
	s.m.kill("the sidecar", pid, syscall.SIGCONT)
	b.to("Graph")
	b.until("all are heard again", `!document.body.innerText.includes("No metrics from")`)
}
