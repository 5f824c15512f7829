package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/resolve"
)

const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {oarlock.dev/calls: "api:8080"}}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api, version: v1}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec: {selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cron, namespace: batch}
spec: {selector: {matchLabels: {app: cron}}, template: {metadata: {labels: {app: cron}}, spec: {containers: [{name: c, image: i}]}}}
`

func TestX(t *testing.T) {
	b := meshtest.Snapshot(t, shop, mesh.DialectCurrent)
	a := meshtest.Snapshot(t, shop+`
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
`, mesh.DialectCurrent)
	im := Compare(resolve.New(b), resolve.New(a), Known{Calls: []Call{{Client: mesh.Ref{Kind: "Deployment", Namespace: "shop", Name: "web"}, Host: "api"}},
		Observed: &metrics.Observation{Start: time.Unix(0, 0), Flows: []metrics.Flow{{Service: metrics.Service{Host: "db.shop.svc.cluster.local"}, Reporter: metrics.Destination, Connections: 2}}}})
	for _, e := range im.Effects {
		fmt.Println(e.Kind, e.Alike, e.Client, e.Declared, e.Requests, e.Connections, e.Text)
	}
	fmt.Printf("%+v\n", im.Same)
}
