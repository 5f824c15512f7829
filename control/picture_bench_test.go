package control

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// BenchmarkGraph is the picture of 500 workloads with a service each, 5,000 calls between them and traffic on every one: what
// is made once a second, and what each who asks for it costs then.
func BenchmarkGraph(b *testing.B) {
	const n = 500
	source, store := &text{files: map[string]string{}}, &seen{health: metrics.StoreHealth{Interval: time.Second}}
	for i := range n {
		name, calls := fmt.Sprintf("w%03d", i), []string{}
		for k := 1; k <= 10; k++ {
			to := fmt.Sprintf("w%03d", (i+k*37)%n)
			calls = append(calls, to+":80")
			f := called(metrics.SecurityMutualTLS)[0]
			f.Source.Workload, f.Destination.Workload = name, to
			f.Service.Host, f.Service.Name = to+".shop.svc.cluster.local", to
			store.flows = append(store.flows, f)
		}
		text := strings.NewReplacer("name: api,", "name: "+name+",", "app: api", "app: "+name, "serviceAccountName: api", "serviceAccountName: "+name).Replace(shop)
		text = strings.Replace(text, "kind: Deployment\nmetadata: {", `kind: Deployment`+"\n"+`metadata: {annotations: {oarlock.dev/calls: "`+strings.Join(calls, ",")+`"}, `, 1)
		if i > 0 {
			_, text, _ = strings.Cut(text, "---\n")
		}
		source.files[fmt.Sprintf("/mesh/%s.yaml", name)] = text
	}
	plane, err := New(b.Context(), Options{Name: "bench", Source: source, Engine: newMachine(), State: b.TempDir(), Flows: store})
	if err != nil {
		b.Fatal(err)
	}
	ask := func(b *testing.B, query string) int {
		w := httptest.NewRecorder()
		plane.api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/graph?"+query, nil))
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.Len()
	}
	b.Run("made", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			ask(b, fmt.Sprintf("window=%ds&expand=*", 60+i%3600)) // a window of its own each
		}
	})
	b.Run("shared", func(b *testing.B) {
		size := 0
		for b.Loop() {
			size = ask(b, "expand=*")
		}
		b.ReportMetric(float64(size), "bytes/answer")
	})
}
