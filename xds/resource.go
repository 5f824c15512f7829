package xds

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Type is a kind of resource, in the order in which new ones are pushed.
type Type uint8

// The types.
const (
	Clusters Type = iota
	Endpoints
	Listeners
	Routes
	typeCount
)

const typePrefix = "type.googleapis.com/"

// URL gives the type URL.
func (t Type) URL() string {
	return typePrefix + [...]string{
		"envoy.config.cluster.v3.Cluster",
		"envoy.config.endpoint.v3.ClusterLoadAssignment",
		"envoy.config.listener.v3.Listener",
		"envoy.config.route.v3.RouteConfiguration",
	}[t]
}

// String gives Istio's short name: CDS, EDS, LDS or RDS.
func (t Type) String() string { return [...]string{"CDS", "EDS", "LDS", "RDS"}[t] }

// Types lists the types in the order in which they are pushed.
func Types() []Type { return []Type{Clusters, Endpoints, Listeners, Routes} }

// typeOf finds a type by its URL.
func typeOf(url string) (Type, bool) {
	for _, t := range Types() {
		if t.URL() == url {
			return t, true
		}
	}
	return 0, false
}

// Resource is one resource as it goes over the wire. It is immutable and shared.
type Resource struct {
	Name string
	// Version is a hash of the content.
	Version string
	Any     *anypb.Any
}

// key is one for each type, name and content.
func (r *Resource) key() string { return r.Any.TypeUrl + "\x00" + r.Name + "\x00" + r.Version }

func newResource(name string, a *anypb.Any) *Resource {
	sum := sha256.Sum256(a.Value)
	return &Resource{Name: name, Version: hex.EncodeToString(sum[:8]), Any: a}
}

// pack puts a message into an Any, in one fixed order of bytes. It cannot fail: every text here was UTF-8 when it was read.
func pack(m proto.Message) *anypb.Any {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &anypb.Any{TypeUrl: typePrefix + string(m.ProtoReflect().Descriptor().FullName()), Value: b}
}

// fields makes a Struct of texts, numbers, booleans, lists and fields.
func fields(m map[string]*structpb.Value) *structpb.Struct { return &structpb.Struct{Fields: m} }

func seconds(s int64) *durationpb.Duration { return &durationpb.Duration{Seconds: s} }

func number(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }

func truth(b bool) *wrapperspb.BoolValue { return wrapperspb.Bool(b) }
