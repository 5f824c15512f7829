//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/bootstrap"
)

// TestWhatARunningMeshSays asks a mesh of Istio 1.4, in which certificates alone say who calls: its documents have what was seen
// and proven, a change to STRICT finds no caller without a sidecar, and a sidecar has the processors that Istio's objects give it.
func TestWhatARunningMeshSays(t *testing.T) {
	t.Parallel()
	dir := copyExample(t, "backyards")
	proxies := `apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: payments, namespace: backyards-demo}
spec: {selector: {matchLabels: {app: payments}}, concurrency: 1}
`
	if err := os.WriteFile(filepath.Join(dir, "proxies.yaml"), []byte(proxies), 0o644); err != nil {
		t.Fatal(err)
	}
	m := upDir(t, dir)
	f, err := bootstrap.Read(filepath.Join(m.home, "s", "oarlock", "meshes", m.name, "pods", "backyards-demo", m.pod("backyards-demo", "payments").Name, "bootstrap.json"))
	if err != nil || f.Concurrency == nil || *f.Concurrency != 1 {
		t.Errorf("the sidecar of payments starts from %+v: %v", f, err)
	}
	client := api.NewClient(filepath.Join(m.home, "r", "oarlock", m.name, "api.sock"))
	defer client.Close()
	m.eventually("a call of bookings in the impact of a change, and none of somebody without a sidecar", func() (string, bool) {
		dry, err := client.ChangeMTLS(t.Context(), api.MTLS{Verb: "require", Resource: "mesh", Apply: api.Apply{DryRun: true}})
		if err != nil {
			return err.Error(), false
		}
		bookings, outside := false, false // while traffic begins, its two ends may be scraped too far apart to tell
		for _, e := range dry.Impact.Effects {
			bookings = bookings || e.Client == "bookings-v1.backyards-demo" && e.Requests > 0
			outside = outside || e.Client == "outside" && e.Requests+e.Connections > 0
		}
		return fmt.Sprintf("%+v", dry.Impact.Effects), bookings && !outside
	})
	if _, err := client.Probe(t.Context(), api.Probe{To: "backyards-demo/payments:8080"}); err != nil {
		t.Fatal(err)
	}
	m.eventually("what was seen and proven, in JSON", func() (string, bool) {
		text := m.do("tls-check", "deploy/bookings-v1.backyards-demo", "payments.backyards-demo:8080", "-o", "json")
		var list struct {
			Items []struct {
				Observed *api.Observed
				Proven   *api.Proven
			}
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 {
			t.Fatalf("%v\n%s", err, text)
		}
		i := list.Items[0]
		return text, i.Observed != nil && i.Observed.MTLS == 1 && i.Observed.Requests > 0 && i.Proven != nil && i.Proven.Mode == "PERMISSIVE"
	})
}
