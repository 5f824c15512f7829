package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

const unenforcedYAML = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: shop}
spec:
  hosts: [cart]
  http:
  - fault: {abort: {httpStatus: 500, percentage: {value: 1}}}
    route: [{destination: {host: cart}, headers: {request: {set: {a: b}}}}]
    corsPolicy: {}
  - headers: {request: {remove: [x]}}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}}
    mirror: {host: shadow}
    retries: {attempts: 1, backoff: 1s}
    route: [{destination: {host: cart}}]
  - delegate: {name: other}
  tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: cart}}]}]
  tcp: [{match: [{destinationSubnets: [10.0.0.0/8], sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: cart}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: shop}
spec:
  host: cart
  trafficPolicy:
    loadBalancer: {consistentHash: {useSourceIp: true}, localityLbSetting: {enabled: false}, warmup: {duration: 1s}}
    tls: {mode: SIMPLE, credentialName: c, insecureSkipVerify: false}
    portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {useSourceIp: true}}}]
  subsets: [{name: a, trafficPolicy: {loadBalancer: {simple: RANDOM}, tunnel: {targetHost: a, targetPort: 1}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: shop}
spec:
  selector: {istio: gw}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c}}
  - {port: {number: 6379, name: redis, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: s, namespace: shop}
spec: {ingress: [{port: {number: 80, protocol: HTTP, name: h}, defaultEndpoint: 127.0.0.1:8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: e, namespace: shop}
spec: {hosts: [a.b], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 1.2.3.4, weight: 3}, {address: 1.2.3.5, weight: 1}]}
`

// TestUnenforcedFields: what a mesh on this machine reads and does not do is said, with its place.
func TestUnenforcedFields(t *testing.T) {
	var got []string
	for _, u := range mustLoad(t, unenforcedYAML, Options{}).Unenforced {
		got = append(got, fmt.Sprintf("%s %d:%d %s", u.Ref, u.Origin.Line, u.Origin.Col, strings.Split(u.Why, ": ")[0]))
	}
	equal(t, "unenforced", got, []string{
		"DestinationRule shop/d 25:20 spec.trafficPolicy.loadBalancer.consistentHash",
		"DestinationRule shop/d 25:94 spec.trafficPolicy.loadBalancer.warmup",
		"DestinationRule shop/d 26:25 spec.trafficPolicy.tls.credentialName",
		"DestinationRule shop/d 27:61 spec.trafficPolicy.portLevelSettings[0].loadBalancer.consistentHash",
		"DestinationRule shop/d 28:71 spec.subsets[0].trafficPolicy.tunnel",
		"Gateway shop/g 37:6 spec.servers[1], port 443, HTTPS",
		"Gateway shop/g 38:6 spec.servers[2], port 6379, TCP",
		"ServiceEntry shop/e 48:124 spec.endpoints[0].weight and 1 more",
		"Sidecar shop/s 43:64 spec.ingress[0].defaultEndpoint",
		"VirtualService shop/v 7:5 spec.http[0].fault and 1 more",
		"VirtualService shop/v 8:41 spec.http[0].route[0].headers",
		"VirtualService shop/v 10:5 spec.http[1].headers",
		"VirtualService shop/v 12:5 spec.http[1].mirror",
		"VirtualService shop/v 13:28 spec.http[1].retries.backoff",
		"VirtualService shop/v 15:5 spec.http[2].delegate",
		"VirtualService shop/v 16:3 spec.tls",
		"VirtualService shop/v 17:19 spec.tcp[0].match[0].destinationSubnets",
		"VirtualService shop/v 17:53 spec.tcp[0].match[0].sourceSubnet",
	})
}

// TestUnenforcedPathsAreFields: a path that the schema does not have would never be found.
func TestUnenforcedPathsAreFields(t *testing.T) {
	for _, kind := range []string{"VirtualService", "DestinationRule", "Sidecar", "ServiceEntry", "WorkloadEntry"} {
		for _, f := range unenforcedFields(mesh.Kind(kind)) {
			s := schemas()[kind]
			for _, name := range strings.Split(f.path, ".") {
				name, list := strings.CutSuffix(name, "[]")
				if s = s.field(name); s != nil && list {
					s = s.elem
				}
				if s == nil && strings.Contains(f.path, "portLevelSettings[].") {
					break // a port has fewer blocks than a service
				}
				if s == nil {
					t.Fatalf("%s has no %s", kind, f.path)
				}
			}
		}
	}
}
