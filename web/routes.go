package web

import (
	"reflect"

	"github.com/oarlock/oarlock/api"
)

// Route is one thing that can be asked of a mesh. Its path begins with /v1 on the mesh's socket, and with
// /api/v1/meshes/NAME in place of that on a dashboard.
type Route struct {
	Method, Path string
	Summary      string
	Query        []Param
	Body         reflect.Type // nil: none
	Answer       reflect.Type // nil: what Content names, described in Summary
	Content      string       // media type of the answer; "" is application/json
	// Changes says that it changes something: a read-only dashboard refuses it, and it lands in the audit log.
	Changes bool
	// Local says that the mesh's socket alone answers it, and no dashboard.
	Local bool
}

// Param is a parameter of a query.
type Param struct {
	Name, Summary string
	Required      bool
}

// Media types of answers.
const (
	contentJSON   = "application/json"
	contentText   = "text/plain; charset=utf-8"
	contentEvents = "text/event-stream"
)

// Parameters that several routes have.
var (
	window   = Param{Name: "window", Summary: "How far back the observations go, as a duration such as 1m (10s to 24h; default 1m)."}
	resource = Param{Name: "resource", Summary: "mesh, NS, NS/SERVICE or NS/SERVICE:PORT; without it, all that have a policy of their own."}
	pod      = Param{Name: "pod", Summary: "NAMESPACE/POD.", Required: true}
	tail     = Param{Name: "tail", Summary: "How many lines, newest last (at most 1000; default 100)."}
)

// Routes lists what can be asked of a mesh, in the order of the documentation.
func Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/status", Summary: "How the mesh is.", Answer: of[api.Status]()},
		{Method: "GET", Path: "/v1/overview", Summary: "The mesh at a glance.", Query: []Param{window}, Answer: of[api.Overview]()},
		{Method: "GET", Path: "/v1/graph", Summary: "Who calls whom, with the three witnesses and where to draw it.", Query: []Param{window,
			{Name: "namespace", Summary: "Only what touches this namespace; may be repeated."},
			{Name: "expand", Summary: "A collapsed group to open; may be repeated. Above 150 nodes namespaces are collapsed; * opens all."},
			{Name: "layout", Summary: "false leaves the layout out."}}, Answer: of[api.Graph]()},
		{Method: "GET", Path: "/v1/edge", Summary: "All that is known of an edge.", Query: []Param{window,
			{Name: "id", Summary: "ID of an edge of the graph.", Required: true}}, Answer: of[api.EdgeDetails]()},
		{Method: "GET", Path: "/v1/node", Summary: "All that is known of a node.", Query: []Param{window,
			{Name: "id", Summary: "ID of a node of the graph.", Required: true}}, Answer: of[api.NodeDetails]()},
		{Method: "GET", Path: "/v1/explain", Summary: "Why a connection is judged as it is.", Query: []Param{
			{Name: "client", Summary: "A client as commands take it, such as NS/POD, deploy/NAME.NS or outside.", Required: true},
			{Name: "service", Summary: "SERVICE.NS:PORT, or a host with a port.", Required: true}}, Answer: of[api.Explanation]()},
		{Method: "GET", Path: "/v1/trend", Summary: "Requests, errors, handshake failures and the share of mutual TLS over time.", Query: []Param{window,
			{Name: "namespace", Summary: "Only traffic to this namespace."}, {Name: "service", Summary: "Only traffic to this host."},
			{Name: "workload", Summary: "Only traffic to this workload of the namespace."},
			{Name: "sourceNamespace", Summary: "Only traffic from this namespace."},
			{Name: "sourceWorkload", Summary: "Only traffic from this workload of it; unknown are callers without a name."},
			{Name: "points", Summary: "How many points (2 to 500; default 60)."}}, Answer: of[api.TrendAnswer]()},
		{Method: "GET", Path: "/v1/mtls", Summary: "The policies in force.", Query: []Param{resource}, Answer: of[api.Rules]()},
		{Method: "POST", Path: "/v1/mtls", Summary: "Change the policy of a resource, or say what that would do.",
			Body: of[api.MTLS](), Answer: of[api.ChangeAnswer](), Changes: true},
		{Method: "GET", Path: "/v1/objects", Summary: "The objects of the manifests.", Query: []Param{
			{Name: "kind", Summary: "Only of this kind; may be repeated."}, {Name: "namespace", Summary: "Only of this namespace."}}, Answer: of[api.Objects]()},
		{Method: "GET", Path: "/v1/file", Summary: "A file of manifests, for an editor.", Query: []Param{
			{Name: "name", Summary: "Its name, as an origin gives it.", Required: true}}, Answer: of[api.ManifestFile]()},
		{Method: "POST", Path: "/v1/check", Summary: "What is wrong with files as an editor holds them. Nothing is written.",
			Body: of[api.Edit](), Answer: of[api.Check]()},
		{Method: "POST", Path: "/v1/edit", Summary: "Replace files of manifests, or say what that would do.",
			Body: of[api.Edit](), Answer: of[api.ChangeAnswer](), Changes: true},
		{Method: "GET", Path: "/v1/changes", Summary: "Changes of policy, newest first.", Query: []Param{
			{Name: "before", Summary: "The name of a change: only older ones."}, {Name: "limit", Summary: "How many (at most 200; default 50)."}}, Answer: of[api.Changes]()},
		{Method: "POST", Path: "/v1/undo", Summary: "Take a change back, or say what that would do.",
			Body: of[api.Undo](), Answer: of[api.ChangeAnswer](), Changes: true},
		{Method: "POST", Path: "/v1/probe", Summary: "Try what a port accepts.", Body: of[api.Probe](), Answer: of[api.ProbeAnswer]()},
		{Method: "GET", Path: "/v1/certificates", Summary: "The certificates of the sidecars.", Answer: of[api.Certificates]()},
		{Method: "GET", Path: "/v1/logs", Summary: "What a container wrote, as text; follow=true goes on.", Content: contentText, Query: []Param{pod, tail,
			{Name: "container", Summary: "istio-proxy or a container of the pod (default: the first)."}, {Name: "follow", Summary: "true goes on."}}},
		{Method: "GET", Path: "/v1/tap", Summary: "Lines of access logs as they are written: an event stream of LogLine.", Content: contentEvents, Query: []Param{
			{Name: "edge", Summary: "Only of this edge."}, {Name: "node", Summary: "Only of this node."}, {Name: "namespace", Summary: "Only of this namespace."}}},
		{Method: "GET", Path: "/v1/proxy", Summary: "What a sidecar has in force, as Envoy's config_dump in JSON.", Query: []Param{pod}},
		{Method: "GET", Path: "/v1/events", Summary: "What happens: an event stream of Event. Last-Event-ID resumes.", Content: contentEvents},
		{Method: "GET", Path: "/v1/manifests", Summary: "What the snapshot in force was read from. Not on a dashboard: manifests may hold Secrets.", Answer: of[api.Manifests](), Local: true},
		{Method: "POST", Path: "/v1/reload", Summary: "Look at the manifests now.", Body: of[api.Wrote](), Answer: of[api.Reload]()},
		{Method: "GET", Path: "/v1/sync", Summary: "Wait until a snapshot is in force on every sidecar.", Query: []Param{
			{Name: "snapshot", Summary: "Its version (default: the newest)."}, {Name: "wait", Summary: "How long, as a duration (at most 1m; default 10s)."}}, Answer: of[api.Sync]()},
		{Method: "GET", Path: "/v1/ca", Summary: "The authorities of the trust domain.", Answer: of[api.CA]()},
		{Method: "GET", Path: "/v1/openapi.json", Summary: "This list, as an OpenAPI document."},
		{Method: "POST", Path: "/v1/ca/rotate", Summary: "Take a step of a rotation.", Body: of[api.Rotate](), Answer: of[api.CA](), Changes: true},
		{Method: "POST", Path: "/v1/ca/token", Summary: "Issue a token, by which a sidecar gets certificates and configuration as one workload. Not on a dashboard: it is a secret.",
			Body: of[api.TokenRequest](), Answer: of[api.Token](), Changes: true, Local: true},
	}
}

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }
