package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The methods of this file are the routes of docs/api.md, one by one. Parameters that are zero are left out, and the control
// plane's own defaults count.

// values makes a query of names and values in turn, without those that are empty.
func values(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	return q
}

// path appends a query.
func path(p string, q url.Values) string {
	if len(q) == 0 {
		return p
	}
	return p + "?" + q.Encode()
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// Status says how the mesh is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Manifests gives what the snapshot in force was read from.
func (c *Client) Manifests(ctx context.Context) (*Manifests, error) {
	return ask[Manifests](ctx, c, http.MethodGet, "/v1/manifests", nil)
}

// Reload looks at the manifests now.
func (c *Client) Reload(ctx context.Context, w Wrote) (*Reload, error) {
	return ask[Reload](ctx, c, http.MethodPost, "/v1/reload", w)
}

// Sync waits until a snapshot, or one after it, is in force on every sidecar, or for so long.
func (c *Client) Sync(ctx context.Context, snapshot string, wait time.Duration) (*Sync, error) {
	return ask[Sync](ctx, c, http.MethodGet, path("/v1/sync", values("snapshot", snapshot, "wait", wait.String())), nil)
}

// CA gives the authorities of the trust domain.
func (c *Client) CA(ctx context.Context) (*CA, error) {
	return ask[CA](ctx, c, http.MethodGet, "/v1/ca", nil)
}

// Rotate takes a step of a rotation.
func (c *Client) Rotate(ctx context.Context, r Rotate) (*CA, error) {
	return ask[CA](ctx, c, http.MethodPost, "/v1/ca/rotate", r)
}

// Token issues a token for a workload.
func (c *Client) Token(ctx context.Context, r TokenRequest) (*Token, error) {
	return ask[Token](ctx, c, http.MethodPost, "/v1/ca/token", r)
}

// GraphQuery says which part of the graph is wanted. The zero value is all of it, over the default window.
type GraphQuery struct {
	Window     time.Duration // how far back observations go; 0 is the default
	Namespaces []string      // only what touches these; none is all
	Expand     []string      // groups that are not to be collapsed; "*" is all
	Layout     bool          // also say where to draw everything
}

// Graph says who calls whom, with the three witnesses.
func (c *Client) Graph(ctx context.Context, q GraphQuery) (*Graph, error) {
	v := values("window", duration(q.Window))
	v["namespace"], v["expand"] = q.Namespaces, q.Expand
	if !q.Layout {
		v.Set("layout", "false")
	}
	return ask[Graph](ctx, c, http.MethodGet, path("/v1/graph", v), nil)
}

// Overview gives the mesh at a glance, over a window; 0 is the default.
func (c *Client) Overview(ctx context.Context, window time.Duration) (*Overview, error) {
	return ask[Overview](ctx, c, http.MethodGet, path("/v1/overview", values("window", duration(window))), nil)
}

// Edge tells all of an edge, by ID.
func (c *Client) Edge(ctx context.Context, id string, window time.Duration) (*EdgeDetails, error) {
	return ask[EdgeDetails](ctx, c, http.MethodGet, path("/v1/edge", values("id", id, "window", duration(window))), nil)
}

// Node tells all of a node, by ID.
func (c *Client) Node(ctx context.Context, id string, window time.Duration) (*NodeDetails, error) {
	return ask[NodeDetails](ctx, c, http.MethodGet, path("/v1/node", values("id", id, "window", duration(window))), nil)
}

// Explain says why a connection is judged as it is.
func (c *Client) Explain(ctx context.Context, client, service string) (*Explanation, error) {
	return ask[Explanation](ctx, c, http.MethodGet, path("/v1/explain", values("client", client, "service", service)), nil)
}

// TrendQuery says of what values over time are wanted.
type TrendQuery struct {
	Window                       time.Duration
	Points                       int
	Namespace, Service, Workload string // of the destination
	// SourceNamespace and SourceWorkload are of the callers; "unknown" are those without a name.
	SourceNamespace, SourceWorkload string
}

// Trend gives values over time.
func (c *Client) Trend(ctx context.Context, t TrendQuery) (*TrendAnswer, error) {
	q := values("window", duration(t.Window), "namespace", t.Namespace, "service", t.Service, "workload", t.Workload,
		"sourceNamespace", t.SourceNamespace, "sourceWorkload", t.SourceWorkload)
	if t.Points != 0 {
		q.Set("points", strconv.Itoa(t.Points))
	}
	return ask[TrendAnswer](ctx, c, http.MethodGet, path("/v1/trend", q), nil)
}

// Rules gives the policies in force for a resource; "" is all.
func (c *Client) Rules(ctx context.Context, resource string) (*Rules, error) {
	return ask[Rules](ctx, c, http.MethodGet, path("/v1/mtls", values("resource", resource)), nil)
}

// ChangeMTLS changes the policy of a resource, or says what that would do.
func (c *Client) ChangeMTLS(ctx context.Context, m MTLS) (*ChangeAnswer, error) {
	return ask[ChangeAnswer](ctx, c, http.MethodPost, "/v1/mtls", m)
}

// Objects lists the objects of the manifests, of these kinds and this namespace.
func (c *Client) Objects(ctx context.Context, namespace string, kinds ...string) (*Objects, error) {
	q := values("namespace", namespace)
	q["kind"] = kinds
	return ask[Objects](ctx, c, http.MethodGet, path("/v1/objects", q), nil)
}

// File gives a file of manifests.
func (c *Client) File(ctx context.Context, name string) (*ManifestFile, error) {
	return ask[ManifestFile](ctx, c, http.MethodGet, path("/v1/file", values("name", name)), nil)
}

// Check says what is wrong with files as an editor holds them.
func (c *Client) Check(ctx context.Context, e Edit) (*Check, error) {
	return ask[Check](ctx, c, http.MethodPost, "/v1/check", e)
}

// Edit replaces files, or says what that would do.
func (c *Client) Edit(ctx context.Context, e Edit) (*ChangeAnswer, error) {
	return ask[ChangeAnswer](ctx, c, http.MethodPost, "/v1/edit", e)
}

// Changes lists changes before the one of a name ("": the newest), newest first.
func (c *Client) Changes(ctx context.Context, before string, limit int) (*Changes, error) {
	q := values("before", before)
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return ask[Changes](ctx, c, http.MethodGet, path("/v1/changes", q), nil)
}

// Undo takes a change back, or says what that would do.
func (c *Client) Undo(ctx context.Context, u Undo) (*ChangeAnswer, error) {
	return ask[ChangeAnswer](ctx, c, http.MethodPost, "/v1/undo", u)
}

// Probe tries what a port accepts.
func (c *Client) Probe(ctx context.Context, p Probe) (*ProbeAnswer, error) {
	return ask[ProbeAnswer](ctx, c, http.MethodPost, "/v1/probe", p)
}

// Proxy reads what a sidecar has in force, as JSON. The reader is the caller's to close.
func (c *Client) Proxy(ctx context.Context, namespace, pod string) (io.ReadCloser, error) {
	return c.open(ctx, path("/v1/proxy", values("pod", namespace+"/"+pod)))
}

// LogQuery says which log is wanted.
type LogQuery struct {
	Namespace, Pod string
	Container      string // "" is the first
	Tail           *int   // lines; nil is the control plane's choice
	Follow         bool
}

// Logs reads a log as text. The reader is the caller's to close.
func (c *Client) Logs(ctx context.Context, l LogQuery) (io.ReadCloser, error) {
	q := values("pod", l.Namespace+"/"+l.Pod, "container", l.Container)
	if l.Tail != nil {
		q.Set("tail", strconv.Itoa(*l.Tail))
	}
	if l.Follow {
		q.Set("follow", "true")
	}
	return c.open(ctx, path("/v1/logs", q))
}

// TapQuery says which lines of access logs are wanted; "" does not narrow them.
type TapQuery struct {
	Edge, Node, Namespace string // IDs of an edge and of a node of the graph, and a namespace
}

// Tap calls yield for every line of the access logs that is written from now on, until ctx ends, yield gives an error, or
// the control plane ends the stream. It gives that error, or ctx's.
func (c *Client) Tap(ctx context.Context, q TapQuery, yield func(*LogLine) error) error {
	at := path("/v1/tap", values("edge", q.Edge, "node", q.Node, "namespace", q.Namespace))
	return follow(ctx, c, question{method: http.MethodGet, path: at}, yield)
}

// Events calls take for each event from now on, until ctx ends, take gives an error, or the control plane ends the stream. It
// gives that error, or ctx's. after is the ID of the last event that is known already, 0 for none.
func (c *Client) Events(ctx context.Context, after uint64, take func(*Event) error) error {
	return follow(ctx, c, question{method: http.MethodGet, path: "/v1/events", after: after}, take)
}
