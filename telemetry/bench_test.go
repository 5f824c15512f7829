package telemetry

import (
	"fmt"
	"testing"
	"time"

	prom "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/oarlock/oarlock/metrics"
)

// loadMesh writes what so many sidecars count in so many seconds: every second a request on each of the edges, as both
// sides count it, and on a fifth of them a connection too.
func loadMesh(tb testing.TB, s *Store, workloads, edges, seconds int, start time.Time) {
	tb.Helper()
	var all []benchSeries
	for i := range workloads {
		instance := fmt.Sprintf("w%d-0.ns%d", i, i%20)
		all = append(all, series("up", 1, "instance", instance), series("oarlock_build_info", 1, "instance", instance),
			series(processStart, float64(start.Unix()-1000), "instance", instance))
	}
	for i := range edges {
		from, to := i%workloads, (i*7+i/workloads+1)%workloads
		for r, by := range []int{from, to} {
			all = append(all, edgeSeries(from, to, metrics.Reporter(r), fmt.Sprintf("w%d-0.ns%d", by, by%20), i%5 == 0)...)
		}
	}
	refs := make([]storage.SeriesRef, len(all))
	for second := range seconds {
		a := s.folder.Appender(tb.Context())
		at := start.Add(time.Duration(second) * time.Second).UnixMilli()
		for i, b := range all {
			var err error
			if b.h {
				n := int64(second + 1)
				h := &prom.Histogram{Schema: prom.CustomBucketsSchema, Count: uint64(n), Sum: float64(n) * 3,
					PositiveSpans: []prom.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{n - n/2, n/2 - (n - n/2)},
					CustomValues: []float64{0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000}}
				refs[i], err = a.AppendHistogram(refs[i], b.labels, at, h, nil)
			} else {
				refs[i], err = a.Append(refs[i], b.labels, at, b.from+b.grows*float64(second))
			}
			if err != nil {
				tb.Fatal(err)
			}
		}
		if err := a.Commit(); err != nil {
			tb.Fatal(err)
		}
	}
}

type benchSeries struct {
	labels      labels.Labels
	from, grows float64
	h           bool
}

func series(name string, from float64, more ...string) benchSeries {
	return benchSeries{labels: labels.FromStrings(append(more, "__name__", name, "job", job)...), from: from}
}

func edgeSeries(from, to int, r metrics.Reporter, instance string, connections bool) []benchSeries {
	source, destination := fmt.Sprintf("w%d", from), fmt.Sprintf("w%d", to)
	sourceNamespace, destinationNamespace := fmt.Sprintf("ns%d", from%20), fmt.Sprintf("ns%d", to%20)
	security := "mutual_tls"
	if r == metrics.Source {
		security = "unknown"
	}
	istio := []string{"instance", instance, "reporter", r.String(),
		"source_workload", source, "source_workload_namespace", sourceNamespace, "source_app", source, "source_version", "v1",
		"source_canonical_service", source, "source_canonical_revision", "v1", "source_cluster", "Kubernetes",
		"source_principal", "spiffe://cluster.local/ns/" + sourceNamespace + "/sa/" + source,
		"destination_workload", destination, "destination_workload_namespace", destinationNamespace, "destination_app", destination,
		"destination_version", "v1", "destination_canonical_service", destination, "destination_canonical_revision", "v1",
		"destination_cluster", "Kubernetes", "destination_principal", "spiffe://cluster.local/ns/" + destinationNamespace + "/sa/" + destination,
		"destination_service", destination + "." + destinationNamespace + ".svc.cluster.local", "destination_service_name", destination,
		"destination_service_namespace", destinationNamespace, "connection_security_policy", security, "response_flags", "-"}
	own := []string{"instance", instance, "reporter", r.String(), "source_workload", source, "source_workload_namespace", sourceNamespace,
		"destination_workload", destination, "destination_workload_namespace", destinationNamespace,
		"destination_service", destination + "." + destinationNamespace + ".svc.cluster.local",
		"destination_port", "8080", "security", "mutual_tls", "policy", "PeerAuthentication istio-system/default"}
	http := append(istio[:len(istio):len(istio)], "request_protocol", "http", "response_code", "200", "grpc_response_status", "")
	tcp := append(istio[:len(istio):len(istio)], "request_protocol", "tcp")
	out := []benchSeries{series(istioRequests, 1, http...), series(ownRequests, 1, own...), series(istioDuration, 0, http...)}
	out[2].h = true
	if connections {
		for _, name := range []string{istioConnections, istioReceived, istioSent} {
			out = append(out, series(name, 1, tcp...))
		}
		out = append(out, series(ownConnections, 1, own...))
	}
	for i := range out {
		out[i].grows = 1
	}
	return out
}

// BenchmarkFlows is for a mesh of a thousand workloads and five thousand edges, and a window of a minute.
func BenchmarkFlows(b *testing.B) {
	s := newStore(b, Options{})
	from := time.Now().Add(-80 * time.Second)
	loadMesh(b, s, 1000, 5000, 75, from)
	w := metrics.Window{End: from.Add(74 * time.Second), Length: time.Minute}
	for b.Loop() {
		o, err := s.Flows(b.Context(), w)
		if err != nil {
			b.Fatal(err)
		}
		if len(o.Flows) != 12000 || o.Flows[0].Requests+o.Flows[0].Connections != 1 {
			b.Fatalf("%d flows, the first of them %+v", len(o.Flows), o.Flows[0])
		}
	}
}
