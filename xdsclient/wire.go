package xdsclient

import (
	"context"
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// A request is a subscription, an ACK or a NACK, in whichever of the two protocols.
type request struct {
	kind    kind
	version string // of the last response of the kind that was acknowledged
	nonce   string // of the response that this answers, or the last one
	refused error  // makes it a NACK

	names                  []string          // all that are subscribed to, in order; none for a kind with wildcard
	subscribe, unsubscribe []string          // what changed of them
	initial                map[string]string // versions of what is there already, in the first request of a stream
}

// A change is a resource that came, or one that is gone: then raw is nil.
type change struct {
	raw     *anypb.Any
	version string
}

// An update is a response.
type update struct {
	kind           kind
	version, nonce string
	server         string
	changes        map[string]change
	full           bool // what is not among the changes is gone
	err            error
}

// A link is a stream in one of the two protocols. recv may be called beside send.
type link struct {
	send func(request) error
	recv func() (*update, error)
}

// openSotW opens a stream of the state of the world.
func openSotW(ctx context.Context, conn *grpc.ClientConn, node *corev3.Node) (link, error) {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return link{}, err
	}
	once := node // the first request of a stream says who asks
	send := func(r request) error {
		m := &discoveryv3.DiscoveryRequest{
			Node: once, TypeUrl: r.kind.url(), VersionInfo: r.version, ResponseNonce: r.nonce, ResourceNames: r.names,
			ErrorDetail: detail(r.refused),
		}
		once = nil
		return stream.Send(m)
	}
	recv := func() (*update, error) {
		for {
			m, err := stream.Recv()
			if err != nil {
				return nil, err
			}
			if k, ok := kindOf(m.TypeUrl); ok {
				return sotwUpdate(k, m), nil
			}
		}
	}
	return link{send, recv}, nil
}

// sotwUpdate reads a response. Of clusters and listeners it has all; of the others it may have a part.
func sotwUpdate(k kind, m *discoveryv3.DiscoveryResponse) *update {
	u := &update{
		kind: k, version: m.VersionInfo, nonce: m.Nonce, server: m.GetControlPlane().GetIdentifier(),
		full: k.wildcard(), changes: make(map[string]change, len(m.Resources)),
	}
	for _, raw := range m.Resources {
		if afterSlash(raw.GetTypeUrl()) == "envoy.service.discovery.v3.Resource" {
			r := &discoveryv3.Resource{}
			if err := proto.Unmarshal(raw.Value, r); err != nil {
				u.err = fmt.Errorf("decode resource: %w", err)
				return u
			}
			raw = r.Resource
		}
		name := nameOf(raw.GetValue())
		if _, twice := u.changes[name]; twice {
			u.err = fmt.Errorf("%s %q is there twice", k, name)
		}
		u.changes[name] = change{raw: raw, version: m.VersionInfo}
	}
	return u
}

// openDelta opens an incremental stream.
func openDelta(ctx context.Context, conn *grpc.ClientConn, node *corev3.Node) (link, error) {
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return link{}, err
	}
	once := node
	send := func(r request) error {
		m := &discoveryv3.DeltaDiscoveryRequest{
			Node: once, TypeUrl: r.kind.url(), ResponseNonce: r.nonce, ErrorDetail: detail(r.refused),
			ResourceNamesSubscribe: r.subscribe, ResourceNamesUnsubscribe: r.unsubscribe, InitialResourceVersions: r.initial,
		}
		once = nil
		return stream.Send(m)
	}
	recv := func() (*update, error) {
		for {
			m, err := stream.Recv()
			if err != nil {
				return nil, err
			}
			if k, ok := kindOf(m.TypeUrl); ok {
				return deltaUpdate(k, m), nil
			}
		}
	}
	return link{send, recv}, nil
}

// deltaUpdate reads a response of what changed.
func deltaUpdate(k kind, m *discoveryv3.DeltaDiscoveryResponse) *update {
	u := &update{
		kind: k, version: m.SystemVersionInfo, nonce: m.Nonce, server: m.GetControlPlane().GetIdentifier(),
		changes: make(map[string]change, len(m.Resources)+len(m.RemovedResources)),
	}
	for _, name := range m.RemovedResources {
		u.changes[name] = change{}
	}
	for _, r := range m.Resources {
		if r.Resource == nil { // a heartbeat
			continue
		}
		if inner := nameOf(r.Resource.Value); inner != r.Name {
			u.err = fmt.Errorf("%s %q says that its name is %q", k, r.Name, inner)
		}
		u.changes[r.Name] = change{raw: r.Resource, version: r.Version}
	}
	return u
}

// maxDetail bounds what a NACK says, in bytes.
const maxDetail = 4 << 10

// detail makes the reason of a NACK; nil is an ACK.
func detail(err error) *status.Status {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &status.Status{Code: int32(codes.InvalidArgument), Message: text[:min(len(text), maxDetail)]}
}

// difference lists what is in a and not in b, both in order.
func difference(a, b []string) []string {
	var out []string
	for _, name := range a {
		if _, ok := slices.BinarySearch(b, name); !ok {
			out = append(out, name)
		}
	}
	return out
}
