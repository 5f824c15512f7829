package xdsclient

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	// The types that a static configuration may have in an Any besides those that are read.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// Static reads a configuration without a control plane, in the form of Envoy's static_resources: {"listeners": [...],
// "clusters": [...]}, with "@type" in every typed_config. Routes are inline, endpoints are in the clusters' load_assignment.
// Secrets have the same names as over xDS. An error names the resource and the field.
func Static(b []byte, logs AccessLogFunc) (*proxy.Config, error) {
	var file struct {
		Listeners []json.RawMessage `json:"listeners"`
		Clusters  []json.RawMessage `json:"clusters"`
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("read static resources: %w", err)
	}
	var s state
	for _, part := range []struct {
		kind kind
		list []json.RawMessage
		one  proto.Message
	}{
		{kindListener, file.Listeners, &listenerv3.Listener{}},
		{kindCluster, file.Clusters, &clusterv3.Cluster{}},
	} {
		var found set
		for i, text := range part.list {
			r, err := staticResource(part.kind, text, part.one, logs)
			if err != nil {
				return nil, fmt.Errorf("read static resources: %s %d: %w", part.kind, i, err)
			}
			if found.find(r.name) != nil {
				return nil, fmt.Errorf("read static resources: %s %q is there twice", part.kind, r.name)
			}
			found.list = found.with([]named{{r.name, &entry{resource: r}}})
		}
		s[part.kind] = newSet(found.list, nil)
		if names := s[part.kind].wanted(); len(names) > 0 {
			return nil, fmt.Errorf("read static resources: %s %q is not there: xDS would have to bring it", part.kind.names(),
				slices.Min(names))
		}
	}
	return s.config("static", nil, nil), nil
}

// staticResource reads one resource; m is only for its type, and is overwritten.
func staticResource(k kind, text []byte, m proto.Message, logs AccessLogFunc) (*resource, error) {
	proto.Reset(m)
	if err := protojson.Unmarshal(text, m); err != nil {
		return nil, err
	}
	raw, err := anypb.New(m)
	if err != nil {
		return nil, err
	}
	return translate(k, raw, logs, nil)
}
