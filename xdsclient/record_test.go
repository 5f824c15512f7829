package xdsclient

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// record says where a real istiod listens (plaintext gRPC) and which scenario it serves; see docs/xds.md.
var (
	record   = flag.String("record", "", "address of an istiod to record before the tests")
	scenario = flag.String("scenario", "", "folder in testdata/istiod that -record writes")
)

// recordNode is the sidecar that subscribes, as Istio's agent describes one.
func recordNode(t *testing.T) *corev3.Node {
	text := map[string]any{"app": "web", "version": "v1", "security.istio.io/tlsMode": "istio"}
	meta, err := structpb.NewStruct(map[string]any{
		"NAMESPACE": "app", "NAME": "web-1", "CLUSTER_ID": "Kubernetes", "MESH_ID": "cluster.local",
		"ISTIO_VERSION": "1.31.0", "SERVICE_ACCOUNT": "web", "INTERCEPTION_MODE": "REDIRECT",
		"INSTANCE_IPS": "10.244.0.1", "LABELS": text, "WORKLOAD_NAME": "web",
	})
	if err != nil {
		t.Fatal(err)
	}
	if *scenario == "gateway" {
		meta.Fields["LABELS"] = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
			"istio": structpb.NewStringValue("ingressgateway")}})
		return &corev3.Node{Id: "router~10.244.0.9~ingress-1.app~app.svc.cluster.local", Cluster: "ingress.app", Metadata: meta}
	}
	return &corev3.Node{Id: "sidecar~10.244.0.1~web-1.app~app.svc.cluster.local", Cluster: "web.app", Metadata: meta}
}

// recordTypes are asked for with wildcards; an answer may never come.
var recordTypes = []string{
	"type.googleapis.com/envoy.config.cluster.v3.Cluster",
	"type.googleapis.com/envoy.config.listener.v3.Listener",
	"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
	"type.googleapis.com/istio.networking.nds.v1.NameTable",
}

// TestRecord writes what istiod sends into testdata, one file for each type URL, as on the wire.
func TestRecord(t *testing.T) {
	if *record == "" {
		return // the recorded files are tested by others
	}
	conn, err := grpc.NewClient(*record, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(url string, names ...string) {
		if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: recordNode(t), TypeUrl: url, ResourceNames: names}); err != nil {
			t.Error(err)
		}
	}
	for _, url := range recordTypes {
		ask(url)
	}
	got := map[string]*discoveryv3.DiscoveryResponse{}
	for {
		resp, err := stream.Recv()
		if err != nil {
			if status.Code(err) != codes.DeadlineExceeded {
				t.Fatal(err)
			}
			break
		}
		first := got[resp.TypeUrl] == nil
		got[resp.TypeUrl] = resp
		ack := &discoveryv3.DiscoveryRequest{TypeUrl: resp.TypeUrl, VersionInfo: resp.VersionInfo, ResponseNonce: resp.Nonce}
		switch {
		case strings.HasSuffix(resp.TypeUrl, ".Cluster"), strings.HasSuffix(resp.TypeUrl, ".Listener"):
			if url, names := recordFollow(t, resp); first {
				ask(url, names...)
			}
		case strings.HasSuffix(resp.TypeUrl, ".ClusterLoadAssignment"), strings.HasSuffix(resp.TypeUrl, ".RouteConfiguration"):
			continue // an ACK repeats the names; nothing more will come
		}
		if err := stream.Send(ack); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	recordWrite(t, got)
}

// recordFollow finds the names that a response of clusters or listeners refers to.
func recordFollow(t *testing.T, resp *discoveryv3.DiscoveryResponse) (url string, names []string) {
	if strings.HasSuffix(resp.TypeUrl, ".Cluster") {
		for _, r := range resp.Resources {
			c := &clusterv3.Cluster{}
			if err := proto.Unmarshal(r.Value, c); err != nil {
				t.Fatal(err)
			}
			if c.GetType() == clusterv3.Cluster_EDS {
				names = append(names, c.Name)
			}
		}
		return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", names
	}
	found := map[string]bool{}
	for _, r := range resp.Resources {
		rdsNames(r.Value, found, 0)
	}
	return "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", slices.Sorted(maps.Keys(found))
}

// rdsNames looks for connection managers anywhere in a message, by the type URL of an Any, and reads field 3 (rds) of each.
func rdsNames(b []byte, found map[string]bool, depth int) {
	if depth > 12 {
		return
	}
	var url string
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 {
			return
		}
		b = b[w:]
		if typ != protowire.BytesType {
			if w = protowire.ConsumeFieldValue(n, typ, b); w < 0 {
				return
			}
			b = b[w:]
			continue
		}
		v, w := protowire.ConsumeBytes(b)
		if w < 0 {
			return
		}
		b = b[w:]
		if n == 1 && strings.HasPrefix(string(v), "type.googleapis.com/") {
			url = string(v)
		}
		if n == 2 && strings.HasSuffix(url, ".HttpConnectionManager") {
			rdsName(v, found)
			continue
		}
		rdsNames(v, found, depth+1)
	}
}

// rdsName reads HttpConnectionManager.rds.route_config_name.
func rdsName(b []byte, found map[string]bool) {
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 {
			return
		}
		b = b[w:]
		w = protowire.ConsumeFieldValue(n, typ, b)
		if w < 0 {
			return
		}
		if n == 3 && typ == protowire.BytesType {
			rds, _ := protowire.ConsumeBytes(b)
			for len(rds) > 0 {
				m, mt, mw := protowire.ConsumeTag(rds)
				if mw < 0 {
					return
				}
				rds = rds[mw:]
				fw := protowire.ConsumeFieldValue(m, mt, rds)
				if fw < 0 {
					return
				}
				if m == 2 && mt == protowire.BytesType {
					name, _ := protowire.ConsumeBytes(rds)
					found[string(name)] = true
				}
				rds = rds[fw:]
			}
		}
		b = b[w:]
	}
}

// recordWrite replaces the scenario's responses. Nonces and versions differ from run to run, so they are taken out.
func recordWrite(t *testing.T, got map[string]*discoveryv3.DiscoveryResponse) {
	dir := filepath.Join("testdata", "istiod", *scenario)
	old, _ := filepath.Glob(filepath.Join(dir, "*.pb"))
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, url := range slices.Sorted(maps.Keys(got)) {
		resp := got[url]
		resp.Nonce, resp.VersionInfo = "", "recorded"
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, url[strings.LastIndexByte(url, '.')+1:]+".pb")
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d resources, %d bytes", file, len(resp.Resources), len(b))
	}
}
