//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/meshtest"
)

// probed is what probe prints as JSON.
type probed struct {
	Mode     string
	Attempts []struct {
		Kind, ALPN, Outcome string
		ClientCertificate   bool
	}
}

// proves waits until a probe gives a mode: an attempt has little time, and proves nothing where that runs out.
func (m *liveMesh) proves(mode string, args ...string) probed {
	m.t.Helper()
	var p probed
	m.eventually("probe "+strings.Join(args, " ")+" proves "+mode, func() (string, bool) {
		p = m.probe(args...)
		return fmt.Sprintf("%+v", p), p.Mode == mode
	})
	return p
}

func (m *liveMesh) probe(args ...string) probed {
	m.t.Helper()
	out, err := m.command(append([]string{"probe", "-o", "json"}, args...)...).Output()
	var p probed
	if jerr := json.Unmarshal(out, &p); jerr != nil {
		m.t.Fatalf("oarlock probe %s: %v, %v\n%s", strings.Join(args, " "), err, jerr, out)
	}
	return p
}

// What a service accepts, proven from outside and as a client, with our own probe.
func TestProbeModes(t *testing.T) {
	for _, example := range []string{"foo-bar", "foo-bar-current"} {
		t.Run(example, func(t *testing.T) {
			m := up(t, example)
			m.synced()
			// foo is STRICT by its policy; a client in the mesh shows its certificate, one outside has none.
			m.proves("STRICT", "foo.bar:8000")
			p := m.proves("STRICT", "foo.bar:8000", "--as", "somepod-123456-abcdef")
			withCertificate, without := "", ""
			for _, a := range p.Attempts {
				switch {
				case a.Kind == "TLS" && a.ALPN == "istio" && a.ClientCertificate:
					withCertificate = a.Outcome
				case a.Kind == "TLS" && a.ALPN == "istio":
					without = a.Outcome
				}
			}
			if withCertificate == "" || withCertificate == without {
				t.Errorf("attempts with a certificate %q, without %q: want both, and different", withCertificate, without)
			}
			m.proves("PERMISSIVE", "baz.bar:8000", "--as", "somepod-123456-abcdef")
			m.do("mtls", "disable", "bar/baz", "--yes")
			m.proves("DISABLE", "baz.bar:8000", "--as", "somepod-123456-abcdef")
		})
	}
}

// The same with programs that know nothing of us.
func TestOpensslAndCurl(t *testing.T) {
	openssl, curl := meshtest.Require(t, "openssl", "openssl"), meshtest.Require(t, "curl", "curl")
	m := up(t, "foo-bar")
	m.synced()
	keys := t.TempDir()
	m.do("cert", "export", "somepod-123456-abcdef", "-d", keys)
	key, chain, root := filepath.Join(keys, "key.pem"), filepath.Join(keys, "cert-chain.pem"), filepath.Join(keys, "root-cert.pem")
	foo, baz := address(m.pod("bar", "foo"), "8000"), address(m.pod("bar", "baz"), "8000")

	sClient := func(at, alpn string) string {
		// Its exit status says nothing about the handshake.
		out, _ := m.try("exec", "somepod-123456-abcdef", "-c", "istio-proxy", "--", openssl, "s_client", "-alpn", alpn, "-connect", at, "-key", key, "-cert", chain, "-CAfile", root)
		return out
	}
	out := sClient(foo, "istio")
	for _, want := range []string{"Verify return code: 0 (ok)", "O = cluster.local", "No ALPN negotiated"} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl -alpn istio to STRICT: no %q in\n%s", want, out)
		}
	}
	if out := sClient(baz, "istio"); !strings.Contains(out, "Verify return code: 0 (ok)") {
		t.Errorf("openssl -alpn istio to PERMISSIVE:\n%s", out)
	}
	if out := sClient(baz, "http/1.1"); !strings.Contains(out, "no peer certificate available") {
		t.Errorf("openssl -alpn http/1.1 to PERMISSIVE:\n%s", out)
	}

	for _, c := range []struct {
		what string
		args []string
		want int // curl's exit status
	}{
		{"with a certificate to STRICT", []string{"-k", "--cert", chain, "--key", key, "--cacert", root, "https://" + foo + "/"}, 0},
		{"plaintext to STRICT", []string{"http://" + foo + "/"}, 56},
		{"plaintext to PERMISSIVE", []string{"http://" + baz + "/"}, 0},
		{"without a certificate to STRICT", []string{"-k", "https://" + foo + "/"}, -1},
	} {
		out, code := m.try(append([]string{"exec", "somepod-123456-abcdef", "-c", "istio-proxy", "--", curl, "-sS", "--max-time", "30"}, c.args...)...)
		if c.want >= 0 && code != c.want || c.want < 0 && code == 0 {
			t.Errorf("curl %s: exit status %d, want %d (-1: not 0)\n%s", c.what, code, c.want, out)
		}
	}
}

func address(p api.Pod, port string) string { return net.JoinHostPort(p.Addresses[0], port) }

// What a client of openssl gets for each ALPN that it offers, by mode and by the port's declared protocol: whether the sidecar
// ends its TLS, and which protocol they agree on.
func TestALPNByMode(t *testing.T) {
	openssl := meshtest.Require(t, "openssl", "openssl")
	m := up(t, "backyards-current")
	m.synced()
	front, analytics := m.pod("backyards-demo", "frontpage"), m.pod("backyards-demo", "analytics")
	keys := t.TempDir()
	m.do("cert", "export", front.Name, "-n", front.Namespace, "-d", keys)
	istio := []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}
	for _, mode := range []struct{ verb, name string }{{"require", "STRICT"}, {"allow", "PERMISSIVE"}, {"disable", "DISABLE"}} {
		m.do("mtls", mode.verb, "backyards-demo/analytics", "--yes")
		for _, port := range []struct {
			number  string
			answers []string // protocols that the sidecar agrees on
		}{
			{"8080", []string{"h2", "http/1.1"}},
			{"8083", []string{"istio-peer-exchange", "h2", "http/1.1"}},
		} {
			for _, alpn := range append([]string{"", "h2", "http/1.1", "something"}, istio...) {
				args := []string{"exec", front.Name, "-n", front.Namespace, "-c", "istio-proxy", "--", openssl, "s_client", "-connect", address(analytics, port.number),
					"-key", filepath.Join(keys, "key.pem"), "-cert", filepath.Join(keys, "cert-chain.pem"), "-CAfile", filepath.Join(keys, "root-cert.pem")}
				if alpn != "" {
					args = append(args, "-alpn", alpn)
				}
				out, _ := m.try(args...)
				ended := strings.Contains(out, "BEGIN CERTIFICATE")
				wantEnded := mode.name == "STRICT" || mode.name == "PERMISSIVE" && slices.Contains(istio, alpn)
				agreed := strings.Contains(out, "ALPN protocol: "+alpn+"\n") && alpn != ""
				wantAgreed := wantEnded && slices.Contains(port.answers, alpn)
				if ended != wantEnded || agreed != wantAgreed {
					t.Errorf("%s, port %s, ALPN %q: ended %v, agreed %v; want %v, %v", mode.name, port.number, alpn, ended, agreed, wantEnded, wantAgreed)
				}
			}
		}
	}
}
