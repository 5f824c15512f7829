//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// The transcript of managing modes without touching YAML, on the running mesh.
func TestBackyardsTranscript(t *testing.T) {
	for _, c := range []struct{ example, disabled string }{{"backyards", "DISABLED"}, {"backyards-current", "DISABLE"}} {
		t.Run(c.example, func(t *testing.T) {
			m := up(t, c.example)
			m.synced()
			for _, step := range []struct{ args, title, policy, targets, mode string }{
				{"allow mesh", "/mesh", "/default", `\[\]`, "PERMISSIVE"},
				{"get mesh", "/mesh", "/default", `\[\]`, "PERMISSIVE"},
				{"require backyards-demo", "backyards-demo/", "backyards-demo/default", `\[\]`, "STRICT"},
				{"allow backyards-demo/bookings:8080", "backyards-demo/bookings", `backyards-demo/bookings\S*`, `\[bookings\(8080\)\]`, "PERMISSIVE"},
				{"disable backyards-demo/bookings:8080", "backyards-demo/bookings", `backyards-demo/bookings\S*`, `\[bookings\(8080\)\]`, c.disabled},
				{"unset backyards-demo/bookings:8080", "backyards-demo/bookings", "backyards-demo/default", `\[\]`, "STRICT"},
				{"unset backyards-demo", "backyards-demo/", "/default", `\[\]`, "PERMISSIVE"},
			} {
				verb, resource, _ := strings.Cut(step.args, " ")
				args := []string{"mtls", verb, resource}
				if verb != "get" {
					args = append(args, "--yes")
				}
				out, code := m.try(args...)
				if code != 0 || !strings.Contains(out, "mTLS rule for "+step.title) || !matches(step.policy+` +`+step.targets+` +`+step.mode, out) {
					t.Errorf("mtls %s: %d\n%s", step.args, code, out)
				}
				if verb != "get" && !matches(`enforced on (\d+) of (\d+) sidecars in \d+`, out) {
					t.Errorf("mtls %s does not say where it is enforced:\n%s", step.args, out)
				}
			}
		})
	}
}

// Six cells: each mode against a caller in the mesh and one outside, by the traffic itself and by a probe.
func TestModesAgainstCallers(t *testing.T) {
	for _, example := range []string{"backyards", "backyards-current"} {
		t.Run(example, func(t *testing.T) {
			m := up(t, example)
			m.synced()
			bookings, front := m.pod("backyards-demo", "bookings"), m.pod("backyards-demo", "frontpage")
			for _, c := range []struct {
				verb, mode string
				inside     string // security of what a caller in the mesh sends
				outside    bool   // whether a caller outside gets in
			}{
				{"allow", "PERMISSIVE", "mutual_tls", true},
				{"require", "STRICT", "mutual_tls", false},
				{"disable", "DISABLE", "none", true},
			} {
				m.do("mtls", c.verb, "backyards-demo/bookings:8080", "--yes")
				before := m.served("bookings", "200", c.inside)
				m.eventually(c.mode+": a caller in the mesh", func() (string, bool) {
					out, _ := m.curl(front, "-i", "http://bookings.backyards-demo:8080/")
					n := m.served("bookings", "200", c.inside)
					return fmt.Sprint(out, n), strings.Contains(out, "HTTP/1.1 200") && n > before
				})
				answer, code := m.fromOutside(front, "http://"+bookings.Addresses[0]+":8080/")
				if got := code == 0 && strings.HasSuffix(answer, "200"); got != c.outside {
					t.Errorf("%s: a caller outside: %s, %d; gets in = %v, want %v", c.mode, answer, code, got, c.outside)
				}
				m.proves(c.mode, "bookings.backyards-demo:8080")
			}
		})
	}
}
