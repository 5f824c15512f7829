package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// request is what a client says, in either variant of the protocol.
type request struct {
	node  *corev3.Node
	url   string
	nonce string
	// refused says that the response with that nonce was not taken, and why.
	refused bool
	why     string

	names []string // state of the world: all that is asked for

	subscribe, unsubscribe []string          // differences
	have                   map[string]string // differences, first request: versions by name from an earlier stream
}

// response is what a client is told.
type response struct {
	kind    Type
	version string // of the snapshot
	nonce   string
	send    []*Resource
	removed []string // differences alone
}

// wire is one stream in one variant of the protocol.
type wire interface {
	recv() (*request, error)
	send(*response) error
	delta() bool
}

// world is the state of the world: every response of clusters and listeners has all of them.
type world struct {
	g discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer
}

func (w *world) delta() bool { return false }

func (w *world) recv() (*request, error) {
	r, err := w.g.Recv()
	if err != nil {
		return nil, err
	}
	return &request{
		node: r.Node, url: r.TypeUrl, nonce: r.ResponseNonce, names: r.ResourceNames,
		refused: r.ErrorDetail != nil, why: r.ErrorDetail.GetMessage(),
	}, nil
}

func (w *world) send(r *response) error {
	out := &discoveryv3.DiscoveryResponse{TypeUrl: r.kind.URL(), VersionInfo: r.version, Nonce: r.nonce, Resources: make([]*anypb.Any, len(r.send))}
	for i, x := range r.send {
		out.Resources[i] = x.Any
	}
	return w.g.Send(out)
}

// delta is the variant that says differences.
type delta struct {
	g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
}

func (d *delta) delta() bool { return true }

func (d *delta) recv() (*request, error) {
	r, err := d.g.Recv()
	if err != nil {
		return nil, err
	}
	return &request{
		node: r.Node, url: r.TypeUrl, nonce: r.ResponseNonce,
		subscribe: r.ResourceNamesSubscribe, unsubscribe: r.ResourceNamesUnsubscribe, have: r.InitialResourceVersions,
		refused: r.ErrorDetail != nil, why: r.ErrorDetail.GetMessage(),
	}, nil
}

func (d *delta) send(r *response) error {
	out := &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: r.kind.URL(), SystemVersionInfo: r.version, Nonce: r.nonce, RemovedResources: r.removed,
		Resources: make([]*discoveryv3.Resource, len(r.send)),
	}
	for i, x := range r.send {
		out.Resources[i] = &discoveryv3.Resource{Name: x.Name, Version: x.Version, Resource: x.Any}
	}
	return d.g.Send(out)
}
