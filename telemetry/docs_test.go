package telemetry

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// TestDocumentation holds that docs/telemetry.md has the queries that are asked, as they are for a window of a minute and a
// scrape every 15 seconds.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	s := newSpan(time.Minute, 15*time.Second)
	for _, q := range []string{
		s.grew(istioRequests, "", codeLabels), s.grew(ownRequests, "", ownLabels), s.grew(ownFailures, "", failureLabels),
		s.quantile(0.99, ""), s.resets(istioRequests), s.restarts(), s.known(), s.young(), s.samples(istioRequests, []string{"10.0.0.7:15020"}),
		s.samples(processStart, []string{"10.0.0.7:15020"}), s.down(false),
		s.total(istioRequests, edgeLabels, partOf(metrics.TrendQuery{Namespace: "shop"})),
	} {
		if !strings.Contains(page, strings.Join(strings.Fields(q), " ")) {
			t.Errorf("docs/telemetry.md lacks\n%s", q)
		}
	}
	for _, name := range append(counters, kept...) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/telemetry.md lacks %s", name)
		}
	}
}
