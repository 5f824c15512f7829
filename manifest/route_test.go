package manifest

import (
	"testing"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

func number(n uint32) *uint32 { return &n }

func TestTrafficPolicy(t *testing.T) {
	dr := mustLoad(t, drHead+`spec:
  host: a
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 1, connectTimeout: 2s, idleTimeout: 3m, maxConnectionDuration: 4h, tcpKeepalive: {probes: 5, time: 6s, interval: 7s}}
      http: {http1MaxPendingRequests: 8, http2MaxRequests: 9, maxRequestsPerConnection: 10, maxRetries: 11, maxConcurrentStreams: 12,
        idleTimeout: 1.5s, h2UpgradePolicy: UPGRADE, useClientProtocol: true}
    outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, consecutiveLocalOriginFailures: 4, splitExternalLocalOriginErrors: true,
      interval: 5s, baseEjectionTime: 100ms, maxEjectionPercent: 50, minHealthPercent: 60}
    portLevelSettings:
    - port: {number: 80}
      connectionPool: {http: {h2UpgradePolicy: DEFAULT, maxRetries: 0}}
      outlierDetection: {consecutiveErrors: 7}
  subsets:
  - {name: v1, trafficPolicy: {outlierDetection: {}}}
`, Options{}).DestinationRules[0]
	equal(t, "pool", *dr.TrafficPolicy.ConnectionPool, mesh.ConnectionPool{MaxConnections: number(1), ConnectTimeout: 2 * time.Second,
		IdleTimeout: 3 * time.Minute, MaxConnectionDuration: 4 * time.Hour, TCPKeepalive: &mesh.TCPKeepalive{Probes: 5, Time: 6 * time.Second, Interval: 7 * time.Second},
		HTTP1MaxPendingRequests: number(8), HTTP2MaxRequests: number(9), MaxRequestsPerConnection: number(10), MaxRetries: number(11),
		MaxConcurrentStreams: number(12), HTTPIdleTimeout: 1500 * time.Millisecond, H2UpgradePolicy: "UPGRADE", UseClientProtocol: true})
	equal(t, "outlier", *dr.TrafficPolicy.OutlierDetection, mesh.OutlierDetection{Consecutive5xx: number(0), ConsecutiveGatewayErrors: number(3),
		ConsecutiveLocalErrors: number(4), SplitLocalErrors: true, Interval: 5 * time.Second, BaseEjectionTime: 100 * time.Millisecond,
		MaxEjectionPercent: number(50), MinHealthPercent: number(60)})
	port := dr.TrafficPolicy.Ports[0]
	equal(t, "pool of a port", *port.ConnectionPool, mesh.ConnectionPool{})
	equal(t, "the old name", *port.OutlierDetection, mesh.OutlierDetection{Consecutive5xx: number(0), ConsecutiveGatewayErrors: number(7)})
	equal(t, "empty", dr.Subsets[0].TrafficPolicy, &mesh.TrafficPolicy{OutlierDetection: &mesh.OutlierDetection{}})
}

const everyRoute = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v}
spec:
  hosts: [cart]
  http:
  - name: all
    match:
    - {name: m, uri: {prefix: /a}, ignoreUriCase: true, scheme: {exact: http}, method: {exact: GET}, authority: {regex: "a.*"},
       headers: {X-B: {exact: b}, a: {}}, withoutHeaders: {c: {prefix: d}}, queryParams: {Q: {regex: "1"}},
       port: 80, gateways: [mesh], sourceLabels: {app: x}, sourceNamespace: shop}
    - {uri: {exact: ""}}
    route:
    - destination: {host: cart, subset: v1, port: {number: 80}}
      weight: 90
    - {destination: {host: cart, subset: v2}, weight: 10, headers: {request: {remove: [x]}}}
    timeout: 0s
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx"}
    rewrite: {uri: /b, authority: c}
    fault: {abort: {httpStatus: 500, percentage: {value: 1}}}
    corsPolicy: {}
    mirror: {host: shadow}
  - redirect: {uri: /x, authority: z, scheme: https, port: 8443, redirectCode: 302}
  - redirect: {prefixRewrite: /p}
    rewrite: {uriRegexRewrite: {match: "^/a", rewrite: /b}}
  - directResponse: {status: 418, body: {string: tea}}
  - directResponse: {status: 418, body: {bytes: dGVh}}
  - route: [{destination: {host: one}}]
    retries: {attempts: 0}
  tls:
  - match: [{sniHosts: [a, "*.b"], port: 443, gateways: [g], sourceLabels: {a: b}, sourceNamespace: ns, destinationSubnets: [10.0.0.0/8]}]
    route: [{destination: {host: t}}]
  tcp:
  - match: [{port: 90}]
    route: [{destination: {host: u}, weight: 3}, {destination: {host: w}}]
`

func TestHTTPRoutes(t *testing.T) {
	vs := mustLoad(t, everyRoute, Options{}).VirtualServices[0]
	exact := func(s string) *mesh.StringMatch { return &mesh.StringMatch{Op: mesh.MatchExact, Value: s} }
	all := vs.HTTP[0]
	equal(t, "match", all.Match, []mesh.HTTPMatch{{Name: "m", URI: &mesh.StringMatch{Op: mesh.MatchPrefix, Value: "/a"}, IgnoreURICase: true,
		Scheme: exact("http"), Method: exact("GET"), Authority: &mesh.StringMatch{Op: mesh.MatchRegex, Value: "a.*"},
		Headers:        []mesh.NamedMatch{{Name: "a"}, {Name: "x-b", StringMatch: *exact("b")}},
		WithoutHeaders: []mesh.NamedMatch{{Name: "c", StringMatch: mesh.StringMatch{Op: mesh.MatchPrefix, Value: "d"}}},
		QueryParams:    []mesh.NamedMatch{{Name: "Q", StringMatch: mesh.StringMatch{Op: mesh.MatchRegex, Value: "1"}}},
		Port:           80, Gateways: []string{"mesh"}, SourceLabels: map[string]string{"app": "x"}, SourceNamespace: "shop"}, {URI: exact("")}})
	equal(t, "route", all.Route, []mesh.WeightedDestination{
		{Weight: 90, RouteDestination: mesh.RouteDestination{Host: "cart", Subset: "v1", Port: 80, Origin: at(14, 21)}},
		{Weight: 10, RouteDestination: mesh.RouteDestination{Host: "cart", Subset: "v2", Origin: at(16, 22)}}})
	off := time.Duration(0)
	equal(t, "timeout and retries", []any{all.Name, all.Timeout, all.Retries, all.Rewrite}, []any{"all", &off,
		&mesh.HTTPRetries{Attempts: 3, PerTryTimeout: 2 * time.Second, RetryOn: "5xx"}, &mesh.HTTPRewrite{URI: "/b", Authority: "c"}})
	equal(t, "redirect", vs.HTTP[1].Redirect, &mesh.HTTPRedirect{URI: "/x", Authority: "z", Scheme: "https", Port: 8443, Code: 302})
	equal(t, "redirect of a prefix", vs.HTTP[2].Redirect, &mesh.HTTPRedirect{Prefix: "/p", Code: 301})
	equal(t, "rewrite by regex", vs.HTTP[2].Rewrite, &mesh.HTTPRewrite{Regex: "^/a", Replacement: "/b"})
	for _, i := range []int{3, 4} {
		equal(t, "answer", vs.HTTP[i].DirectResponse, &mesh.HTTPDirectResponse{Status: 418, Body: "tea"})
	}
	last := vs.HTTP[5]
	equal(t, "one destination", []any{last.Route[0].Weight, last.Timeout, *last.Retries, last.Match},
		[]any{uint32(100), (*time.Duration)(nil), mesh.HTTPRetries{}, []mesh.HTTPMatch(nil)})
}

func TestL4Routes(t *testing.T) {
	vs := mustLoad(t, everyRoute, Options{}).VirtualServices[0]
	equal(t, "tls", vs.TLS[0].Match, []mesh.L4Match{{SNIHosts: []string{"a", "*.b"}, Port: 443, Gateways: []string{"g"},
		SourceLabels: map[string]string{"a": "b"}, SourceNamespace: "ns", DestinationSubnets: []string{"10.0.0.0/8"}}})
	equal(t, "tls route", vs.TLS[0].Route[0].Host, "t")
	equal(t, "tcp", vs.TCP[0].Match, []mesh.L4Match{{Port: 90}})
	equal(t, "weights", []uint32{vs.TCP[0].Route[0].Weight, vs.TCP[0].Route[1].Weight}, []uint32{3, 0})
}

func TestGatewayServers(t *testing.T) {
	g := mustLoad(t, `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in}
spec:
  selector: {istio: ingressgateway}
  servers:
  - name: s
    port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: MUTUAL, credentialName: c, serverCertificate: a, privateKey: b, caCertificates: d, subjectAltNames: [e], httpsRedirect: true}
`, Options{}).Gateways[0]
	equal(t, "server", g.Servers[0], mesh.GatewayServer{Name: "s", Port: 443, PortName: "https", Protocol: "HTTPS", Hosts: []string{"*"}, TLSMode: "MUTUAL",
		CredentialName: "c", ServerCertificate: "a", PrivateKey: "b", CACertificates: "d", SubjectAltNames: []string{"e"}, HTTPSRedirect: true})
}
