//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
)

// entrance is an ingress gateway of two replicas, that leads to the till of the shop.
const entrance = `---
apiVersion: v1
kind: Service
metadata: {name: entrance, namespace: shop}
spec: {selector: {istio: entrance}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: entrance, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: entrance, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {istio: entrance}}
  template:
    metadata: {labels: {istio: entrance}, annotations: {inject.istio.io/templates: gateway}}
    spec: {serviceAccountName: entrance, containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec:
  selector: {istio: entrance}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.org]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.org]
  gateways: [shop]
  http:
    - match: [{uri: {prefix: /till}}]
      route: [{destination: {host: till, port: {number: 8080}}}]
`

// A request from outside comes by way of an ingress gateway to a service that takes mutual TLS alone: by its host and path, and
// in no other way.
func TestIngress(t *testing.T) {
	t.Parallel()
	m := upDir(t, meshOf(t, shop+entrance))
	m.synced()
	gateways, tills := m.podsOf("shop", "entrance"), m.podsOf("shop", "till")
	if len(gateways) != 2 {
		t.Fatalf("%d replicas of the gateway", len(gateways))
	}
	const calls = 8
	for _, g := range gateways {
		for range calls {
			if code, body := m.fromMachine(g, "shop.example.org", "/till/x"); code != 200 || !strings.Contains(body, `"service":"till"`) || !strings.Contains(body, `"path":"/till/x"`) {
				t.Errorf("%s: %d %s", g.Name, code, body)
			}
		}
		for _, c := range []struct{ host, path string }{{"shop.example.org", "/"}, {"shop.example.org", "/other"}, {"elsewhere.example.org", "/till/x"}} {
			if code, body := m.fromMachine(g, c.host, c.path); code != 404 {
				t.Errorf("%s%s by %s: %d %s, want 404", c.host, c.path, g.Name, code, body)
			}
		}
		m.eventually("the gateway's log has both", func() (string, bool) {
			out := m.do("logs", g.Name, "-n", "shop", "-c", "istio-proxy", "--tail", "50")
			return out, matches(`"GET /till/x HTTP/1\.1" 200 - .*outbound\|8080\|\|till\.shop\.svc\.cluster\.local`, out) && matches(`"GET /other HTTP/1\.1" 404 NR `, out)
		})
		m.eventually("the gateway speaks mutual TLS to the till", func() (string, bool) {
			all := m.scrape(g)
			to := map[string]string{"reporter": "source", "source_workload": "entrance", "destination_service": "till.shop.svc.cluster.local"}
			n := sum(all, "oarlock_requests_total", to)
			to["security"] = "mutual_tls"
			secure := sum(all, "oarlock_requests_total", to)
			return fmt.Sprint(n, secure), n == calls && secure == calls
		})
	}
	m.eventually("the till knows who called, and every replica was asked", func() (string, bool) {
		total, each := 0.0, true
		for _, p := range tills {
			n := sum(m.scrape(p), "istio_requests_total", map[string]string{"reporter": "destination", "response_code": "200",
				"connection_security_policy": "mutual_tls", "source_principal": "spiffe://cluster.local/ns/shop/sa/entrance"})
			total, each = total+n, each && n > 0
		}
		return fmt.Sprint(total, each), total == 2*calls && each
	})
	if code, err := m.fromOutside(tills[0], "http://"+tills[0].Addresses[0]+":8080/"); err == 0 {
		t.Errorf("past the gateway, in plaintext: %s", code)
	}
	m.eventually("the way in is drawn", func() (string, bool) {
		out, _ := m.try("edges", "-n", "shop")
		return out, matches(`entrance\S* +\S*till\S* .*locked`, out)
	})
}

// fromMachine asks a gateway's pod from this machine, outside of the mesh, and gives the status and the body.
func (m *liveMesh) fromMachine(gateway api.Pod, host, path string) (int, string) {
	m.t.Helper()
	at := gateway.Addresses[0]
	if captureMode() == "transparent" { // its address means nothing here, but it is lent one of the machine's
		at = fmt.Sprintf("127.%d.1.%s", m.net, at[strings.LastIndexByte(at, '.')+1:])
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+at+":8080"+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Host = host
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}
