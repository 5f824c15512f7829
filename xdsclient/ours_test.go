package xdsclient

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	_ "istio.io/api/envoy/config/filter/http/alpn/v2alpha1"
	"sigs.k8s.io/yaml"
)

// TestOurs translates what our own control plane makes for sidecars and gateways (golden files of package xds): all of it is
// taken, and nothing of it is left out but what is there for other clients.
func TestOurs(t *testing.T) {
	messages := map[string]struct {
		kind kind
		make func() proto.Message
	}{
		"clusters":  {kindCluster, func() proto.Message { return &clusterv3.Cluster{} }},
		"endpoints": {kindEndpoints, func() proto.Message { return &endpointv3.ClusterLoadAssignment{} }},
		"listeners": {kindListener, func() proto.Message { return &listenerv3.Listener{} }},
		"routes":    {kindRoutes, func() proto.Message { return &routev3.RouteConfiguration{} }},
	}
	seen, policies := 0, 0
	for part, m := range messages {
		files, err := filepath.Glob("../xds/testdata/*/out/*/" + part + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(file)))) == "grpc" {
				continue // for clients without a sidecar
			}
			for _, text := range yamlList(t, file) {
				one := m.make()
				if err := protojson.Unmarshal(text, one); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				raw, err := anypb.New(one)
				if err != nil {
					t.Fatal(err)
				}
				r, err := translate(m.kind, raw, testLogs, nil)
				if err != nil {
					t.Errorf("%s: %v", file, err)
					continue
				}
				seen++
				if r.cluster != nil && r.cluster.Policy != "" {
					policies++
				}
			}
		}
	}
	if seen < 50 || policies == 0 {
		t.Errorf("%d resources, %d of them clusters with a policy: that cannot be all", seen, policies)
	}
}

// yamlList reads a file with a list of resources, each as JSON.
func yamlList(t *testing.T, file string) []json.RawMessage {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err = yaml.YAMLToJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	var out []json.RawMessage
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}
