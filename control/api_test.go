package control

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/web"
)

func hashed(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Write implements mesh.Writer.
func (s *text) Write(ctx context.Context, pre mesh.Precondition, changes []mesh.Change) error {
	_, files, err := s.ReadFiles(ctx)
	if err != nil {
		return err
	}
	edits, err := manifest.Apply(files, changes)
	if err != nil {
		return err
	}
	return s.WriteFiles(ctx, pre, edits)
}

// WriteFiles implements web.Writer.
func (s *text) WriteFiles(_ context.Context, pre mesh.Precondition, edits []manifest.FileEdit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range edits {
		if have, ok := s.files[e.Name]; ok != (e.Before != nil) || ok && hashed([]byte(have)) != pre[e.Name] {
			return &mesh.StaleError{Place: e.Name}
		}
	}
	for _, e := range edits {
		if delete(s.files, e.Name); e.After != nil {
			s.files[e.Name] = string(e.After)
		}
	}
	s.written++
	return nil
}

func (s *text) get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[name]
}

// seen is a store of observations that says what it is told.
type seen struct {
	mu     sync.Mutex
	flows  []metrics.Flow
	err    error
	asked  atomic.Int64
	health metrics.StoreHealth
}

func (s *seen) set(flows []metrics.Flow, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flows, s.err = flows, err
}

func (s *seen) Flows(_ context.Context, w metrics.Window) (*metrics.Observation, error) {
	s.asked.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	now := time.Now()
	return &metrics.Observation{Flows: slices.Clone(s.flows), Start: now.Add(-w.Length), End: now, Newest: now.Add(-time.Second)}, nil
}

func (s *seen) Trend(_ context.Context, q metrics.TrendQuery) (*metrics.Trend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	nan := 0.0
	nan /= nan
	return &metrics.Trend{Times: []time.Time{time.Now().Add(-q.Step), time.Now()}, Requests: []float64{nan, 2}, Errors: []float64{nan, 0},
		Connections: []float64{nan, 0}, Failures: []float64{nan, 0}, MTLS: []float64{nan, 1}}, nil
}

func (s *seen) Health(context.Context) metrics.StoreHealth {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	h.OK = s.err == nil
	return h
}

// called is a request a second from the web to the api, as the api counted it.
func called(security metrics.Security) []metrics.Flow {
	return []metrics.Flow{{
		Source: metrics.Peer{Namespace: "shop", Workload: "web"}, Destination: metrics.Peer{Namespace: "shop", Workload: "api"},
		Service: metrics.Service{Host: "api.shop.svc.cluster.local", Name: "api", Namespace: "shop"}, Port: 80, Protocol: "http",
		Reporter: metrics.Destination, Security: security, Requests: 1,
	}}
}

const caller = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {oarlock.dev/calls: "api:80"}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: x, command: [web]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
`

const plainRule = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec: {host: api, trafficPolicy: {tls: {mode: DISABLE}}}
`

// Logs gives two lines of an access log; whoever follows it sees a third come, and no end.
func (*machine) Logs(ctx context.Context, pod mesh.Ref, container string, follow bool) (io.ReadCloser, error) {
	if pod.Name == "gone" {
		return nil, fs.ErrNotExist
	}
	if container != mesh.SidecarContainer {
		return io.NopCloser(strings.NewReader("one\ntwo\nthree\n")), nil
	}
	paths := []string{"/a", `/<script>alert("x")</script>`}
	if follow {
		paths = append(paths, "/new")
	}
	var b []byte
	for _, path := range paths {
		b = accesslog.IstioCurrent().Append(b, &accesslog.Record{Start: time.Now(), Method: "GET", Path: path, Authority: "api", ResponseCode: 200,
			Protocol: "HTTP/1.1", UpstreamCluster: "outbound|80||api.shop.svc.cluster.local", UserAgent: "<img src=x>",
			DownstreamRemoteAddress: "127.64.1.2:1", Duration: time.Millisecond})
	}
	if !follow {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	in, out := io.Pipe()
	go func() {
		defer out.Close()
		_, _ = out.Write(b)
		<-ctx.Done()
	}()
	return in, nil
}

// Admin is a socket at which a sidecar's answers lie.
func (*machine) Admin(context.Context, mesh.Ref) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		req, err := http.ReadRequest(bufio.NewReader(there))
		if err != nil {
			return
		}
		body := `{"identity": {"id": "spiffe://cluster.local/ns/shop/sa/api", "not_before": "2020-01-01T00:00:00Z", "not_after": "2020-01-02T00:00:00Z", "renew_at": "2020-01-01T12:00:00Z"}}`
		switch req.URL.Path {
		case "/certs":
			body = `{"certificates": [{"ca_cert": [{"serial_number": "ca"}], "cert_chain": [{"serial_number": "leaf"}]}]}`
		case "/config_dump":
			body = `{"configs": []}`
		}
		fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	}()
	return here, nil
}

// shopRig is a mesh in which the web calls the api, with everything that an API can have.
func shopRig(t *testing.T, change func(*Options)) (*rig, *seen) {
	t.Helper()
	store := &seen{flows: called(metrics.SecurityMutualTLS), health: metrics.StoreHealth{Kind: "embedded", Interval: time.Second}}
	r := start(t, func(o *Options) {
		source := o.Source.(*text)
		source.set("/mesh/web.yaml", caller)
		o.Writer, o.Flows = source, store
		if change != nil {
			change(o)
		}
	})
	return r, store
}

// ask sends a request by hand.
func (r *rig) ask(method, path, body string, header ...string) (*http.Response, []byte) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, "http://oarlock"+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.line().RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return res, text
}

func (r *rig) line() *http.Transport {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.opt.API)
	}}
	return t
}

// edge is the ID of the one edge that somebody declares.
func (r *rig) edge() string {
	r.Helper()
	g, err := r.client.Graph(r.Context(), api.GraphQuery{})
	if err != nil || len(g.Edges) != 1 {
		r.Fatalf("graph %+v: %v", g, err)
	}
	return g.Edges[0].ID
}

// questions has one for each route.
func questions(r *rig) map[string]string {
	edge, node := url.QueryEscape(r.edge()), url.QueryEscape("workload/shop/api.Deployment")
	name := r.change("require", "shop", true).Name
	return map[string]string{
		"GET /v1/status": "", "GET /v1/overview": "?window=30s", "GET /v1/graph": "?namespace=shop&expand=*", "GET /v1/edge": "?id=" + edge,
		"GET /v1/node": "?id=" + node, "GET /v1/explain": "?client=deploy/web.shop&service=api.shop:80", "GET /v1/trend": "?points=2",
		"GET /v1/mtls": "?resource=shop/api", "POST /v1/mtls": `{"verb": "require", "resource": "shop", "dryRun": true}`,
		"GET /v1/objects": "?kind=PeerAuthentication&kind=Service", "GET /v1/file": "?name=/mesh/policy.yaml",
		"POST /v1/check":  `{"files": [{"name": "/mesh/policy.yaml", "text": "kind: ["}]}`,
		"POST /v1/edit":   fmt.Sprintf(`{"files": [{"name": "/mesh/policy.yaml", "hash": %q, "text": "# nothing\n"}], "dryRun": true}`, hashed([]byte(r.source.get("/mesh/policy.yaml")))),
		"GET /v1/changes": "?limit=1", "POST /v1/undo": fmt.Sprintf(`{"name": %q, "dryRun": true}`, name),
		"POST /v1/probe": `{"to": "shop/api:80"}`, "GET /v1/certificates": "", "GET /v1/logs": "?pod=shop/api-abc-1&tail=2",
		"GET /v1/tap": "?node=" + node, "GET /v1/proxy": "?pod=shop/api-abc-1", "GET /v1/events": "", "GET /v1/manifests": "",
		"POST /v1/reload": `{"files": {}}`, "GET /v1/sync": "?wait=1ms", "GET /v1/ca": "", "GET /v1/openapi.json": "",
		"POST /v1/ca/rotate": `{"step": "prepare"}`, "POST /v1/ca/token": `{"namespace": "shop", "pod": "api-abc-1"}`,
	}
}

// change makes a change and wants it to come about.
func (r *rig) change(verb, resource string, yes bool) *api.ChangeAnswer {
	r.Helper()
	a, err := r.client.ChangeMTLS(r.Context(), api.MTLS{Verb: verb, Resource: resource, Apply: api.Apply{Yes: yes}})
	if err != nil {
		r.Fatal(err)
	}
	return a
}

// TestAnswersAreAsDocumented walks the routes: each answer is what the OpenAPI document says.
func TestAnswersAreAsDocumented(t *testing.T) {
	r, _ := shopRig(t, nil)
	doc, err := openapi3.NewLoader().LoadFromFile("../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	asked := questions(r)
	for _, route := range web.Routes() {
		how, ok := asked[route.Method+" "+route.Path]
		if !ok {
			t.Errorf("%s %s is asked by nobody", route.Method, route.Path)
			continue
		}
		var req *http.Request
		if route.Method == http.MethodGet {
			req = httptest.NewRequest(route.Method, route.Path+how, nil)
		} else {
			req = httptest.NewRequest(route.Method, route.Path, strings.NewReader(how))
			req.Header.Set("Content-Type", "application/json")
		}
		r.validated(t, router, req, route)
	}
}

// validated sends a request of the document and holds the answer against it.
func (r *rig) validated(t *testing.T, router routers.Router, req *http.Request, route web.Route) {
	t.Helper()
	found, params, err := router.FindRoute(req)
	if err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: found}
	if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := req.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", "oarlock", ""
	res, err := r.line().RoundTrip(out)
	if err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return
	}
	defer res.Body.Close()
	if want := cmp.Or(route.Content, "application/json"); res.StatusCode != 200 || res.Header.Get("Content-Type") != want ||
		res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		t.Errorf("%s %s: %s %v\n%s", req.Method, req.URL, res.Status, res.Header, text)
		return
	}
	if route.Content == "text/event-stream" {
		return // it has no end
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%s %s: %v", req.Method, req.URL, err)
	}
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode, Header: res.Header}
	answer.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(ctx, answer); err != nil {
		t.Errorf("%s %s: %v\n%.2000s", req.Method, req.URL, err, body)
	}
}
