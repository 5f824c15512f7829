package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
)

// everywhere is a table that sends all requests to a cluster.
func everywhere(cluster string, change func(*proxy.Route)) *proxy.RouteTable {
	r := &proxy.Route{Name: "default", Match: proxy.RouteMatch{Prefix: "/"}, Clusters: []proxy.WeightedCluster{{Name: cluster}}}
	if change != nil {
		change(r)
	}
	return &proxy.RouteTable{Name: "table", Hosts: []*proxy.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*proxy.Route{r}}}}
}

// An httpPair is a client's and a server's sidecar with mTLS between them.
type httpPair struct {
	client, server           *proxy.Proxy
	clientLogs, serverLogs   *meshtest.Buffer
	clientStats, serverStats *metrics.Registry
	door                     netip.AddrPort
}

func newHTTPPair(t testing.TB, backend netip.AddrPort, change func(*proxy.Route)) *httpPair {
	t.Helper()
	authority := meshtest.NewCA(t, nil, 0)
	web := proxy.Peer{Workload: "web", Namespace: "front", App: "web", Principal: "spiffe://cluster.local/ns/front/sa/web"}
	api := proxy.Peer{Workload: "api", Namespace: "shop", App: "api", Principal: "spiffe://cluster.local/ns/shop/sa/api"}
	out := &httpPair{door: freePort(t), clientStats: metrics.NewRegistry(web, metrics.Options{}), serverStats: metrics.NewRegistry(api, metrics.Options{})}
	at := freePort(t)
	in := &proxy.Listener{Name: "virtualInbound", Direction: proxy.Inbound, Address: at, Bind: true, AccessLog: logged,
		InspectTLS: proxy.Ports{On: true}, Chains: []*proxy.FilterChain{{Name: "mtls", TLS: serverTLS(), Policy: "PeerAuthentication shop/default",
			HTTP: &proxy.HTTPManager{Table: everywhere("inbound|80||", nil), AccessLog: logged, PeerExchange: true, ClientCert: proxy.ClientCertAppendForward, PassServerName: true}}}}
	out.server, out.serverLogs = start(t, proxy.Options{Identity: identity(t, authority, "shop", "api"), Self: api, NodeID: "api-node", Series: out.serverStats},
		&proxy.Config{Listeners: []*proxy.Listener{in}, Clusters: []*proxy.Cluster{static("inbound|80||", backend, nil)}})
	table := everywhere("outbound|80||api.shop.svc.cluster.local", change)
	upstream := static("outbound|80||api.shop.svc.cluster.local", at, clientTLS("istio"))
	upstream.ALPNOverride = true
	door := &proxy.Listener{Name: "out", Address: out.door, Bind: true, Chains: []*proxy.FilterChain{{Name: "http",
		HTTP: &proxy.HTTPManager{RouteName: "table", AccessLog: logged, PeerExchange: true, ALPNOverride: true, Upgrades: []string{"websocket"}}}}}
	out.client, out.clientLogs = start(t, proxy.Options{Identity: identity(t, authority, "front", "web"), Self: web, NodeID: "web-node", Series: out.clientStats},
		&proxy.Config{Listeners: []*proxy.Listener{door}, Routes: []*proxy.RouteTable{table}, Clusters: []*proxy.Cluster{upstream}})
	return out
}

func (p *httpPair) url(path string) string { return "http://" + p.door.String() + path }

// serveHTTP runs a server until the test ends.
func serveHTTP(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// plainProxy is one proxy that sends all requests to a backend in plaintext.
func plainProxy(t testing.TB, backend netip.AddrPort, change func(*proxy.HTTPManager, *proxy.Route, *proxy.Cluster)) (netip.AddrPort, *proxy.Proxy, *meshtest.Buffer) {
	t.Helper()
	cluster := static("api", backend, nil)
	table := everywhere("api", nil)
	m := &proxy.HTTPManager{Table: table, AccessLog: logged, Upgrades: []string{"websocket"}}
	if change != nil {
		change(m, table.Hosts[0].Routes[0], cluster)
	}
	at := freePort(t)
	p, logs := start(t, proxy.Options{DrainTime: time.Second}, &proxy.Config{Clusters: []*proxy.Cluster{cluster},
		Listeners: []*proxy.Listener{{Name: "out", Address: at, Bind: true, Chains: []*proxy.FilterChain{{Name: "http", HTTP: m}}}}})
	return at, p, logs
}

// raw sends bytes and gives the responses that come back until the end of the connection.
func raw(t testing.TB, at netip.AddrPort, request string) string {
	t.Helper()
	c := dial(t, at)
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go io.WriteString(c, request)
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		t.Fatalf("read response: %v", err)
	}
	return string(b)
}

// logLine waits for a line of an access log that has all of the words.
func logLine(t testing.TB, logs *meshtest.Buffer, words ...string) accesslog.Entry {
	t.Helper()
	var found accesslog.Entry
	eventually(t, "a log line with "+strings.Join(words, " "), func() bool {
	lines:
		for line := range strings.Lines(logs.String()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			e, err := accesslog.NewReader().Read(line)
			if err != nil {
				t.Errorf("read log line %q: %v", line, err)
			}
			found = e
			return true
		}
		return false
	})
	return found
}

func TestHTTPPair(t *testing.T) {
	seen := make(chan http.Header, 10)
	p := newHTTPPair(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL, body)
	}), nil)
	for i := range 3 {
		resp, err := http.Post(p.url("/a?b=c"), "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := p.door.String() + " /a?b=c hello"; err != nil || string(body) != want || resp.StatusCode != 200 {
			t.Fatalf("request %d: %d %q %v, want %q", i, resp.StatusCode, body, err, want)
		}
		for name, want := range map[string]string{"Server": "oarlock", "X-Method": "POST", "X-Envoy-Peer-Metadata-Id": "", "Connection": ""} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("header %s of the response is %q, want %q", name, got, want)
			}
		}
		h := <-seen
		for name, want := range map[string]string{"X-Forwarded-Proto": "http", "X-Envoy-Attempt-Count": "1", "X-Envoy-Peer-Metadata": ""} {
			if got := h.Get(name); got != want {
				t.Errorf("header %s of the request is %q, want %q", name, got, want)
			}
		}
		if got := h.Get("X-Forwarded-Client-Cert"); !strings.HasPrefix(got, "By=spiffe://cluster.local/ns/shop/sa/api;Hash=") ||
			!strings.HasSuffix(got, `;Subject="";URI=spiffe://cluster.local/ns/front/sa/web`) {
			t.Errorf("x-forwarded-client-cert is %q", got)
		}
		if got := h.Get("X-Request-Id"); len(got) != 36 {
			t.Errorf("x-request-id is %q", got)
		}
	}
	e := logLine(t, p.clientLogs, "POST")
	if e.ResponseCode != 200 || e.CodeDetails != "via_upstream" || e.BytesReceived != 5 || e.UpstreamCluster != "outbound|80||api.shop.svc.cluster.local" || e.RouteName != "default" {
		t.Errorf("client's log line: %+v", e.Record)
	}
	logLine(t, p.serverLogs, "POST", "via_upstream", "inbound|80||")
	for side, want := range map[*metrics.Registry][]string{
		p.clientStats: {`reporter="source"`, `destination_workload="api"`, `response_code="200"`, `destination_principal="spiffe://cluster.local/ns/shop/sa/api"`},
		p.serverStats: {`reporter="destination"`, `source_workload="web"`, `source_app="web"`, `connection_security_policy="mutual_tls"`, `source_principal="spiffe://cluster.local/ns/front/sa/web"`},
	} {
		eventually(t, "three requests with "+strings.Join(want, " "), func() bool {
			return len(series(side, append(want, "istio_requests_total{", "} 3")...)) == 1
		})
	}
}

func TestHTTPKeepAliveAndPipelining(t *testing.T) {
	at, _, _ := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }), nil)
	c := dial(t, at)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(c)
	for i := 1; i <= 3; i++ {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if want := fmt.Sprintf("/%d", i); string(body) != want || resp.Close != (i == 3) {
			t.Errorf("response %d: %q, close %v", i, body, resp.Close)
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after Connection: close: %v", err)
	}
}
