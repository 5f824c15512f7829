package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"github.com/oarlock/oarlock/metrics"
)

const (
	job = "oarlock"
	// reloadEvery is how soon a new target is scraped.
	reloadEvery = 50 * time.Millisecond
	// hostSuffix makes the host names by which the dialer knows targets; RFC 6761 keeps them from being anybody's.
	hostSuffix = ".oarlock.invalid"
)

// scraper runs Prometheus' scrape loops over targets that are sent to it.
type scraper struct {
	manager *scrape.Manager
	config  *config.Config
	dial    func(context.Context, Target) (net.Conn, error)
	changed chan struct{} // size one: look at the targets again

	mu     sync.Mutex
	hosts  map[string]string // by Name and Address: a target that moves gets another host, and so another connection
	byHost map[string]Target
	next   int
}

func newScraper(opt Options, to storage.Appendable) (*scraper, error) {
	s := &scraper{dial: opt.Dial, changed: make(chan struct{}, 1), hosts: map[string]string{}, byHost: map[string]Target{}}
	log := slog.New(newSeldom(opt.Logger.Handler()))
	var err error
	if s.config, err = config.Load(scrapeConfig(opt), log); err != nil {
		return nil, err
	}
	s.manager, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval: model.Duration(reloadEvery),
		HTTPClientOptions:       []promconfig.HTTPClientOption{promconfig.WithDialContextFunc(s.dialHost)},
	}, log, nil, to, nil, prometheus.NewRegistry())
	return s, err
}

// scrapeConfig writes Prometheus' configuration. Labels of the series win over those of the target; times are those of
// this machine's clock, so that no target brings samples from the future.
func scrapeConfig(opt Options) string {
	keep := "\n  metric_relabel_configs:\n  - {source_labels: [__name__], action: keep, regex: " + strconv.Quote(strings.Join(kept, "|")) + "}"
	// Our sidecars send no more than that then, and the same bytes as long as nothing happens; Envoy passes it over.
	name, value, _ := strings.Cut(metrics.OnlyFlows, "=")
	keep += "\n  params: {" + name + ": [" + value + "]}"
	interval := model.Duration(opt.Interval)
	return fmt.Sprintf(`scrape_configs:
- job_name: %s
  honor_labels: true
  honor_timestamps: false
  scrape_interval: %s
  scrape_timeout: %s
  scrape_protocols: [PrometheusText0.0.4]
  enable_compression: false
  fallback_scrape_protocol: PrometheusText0.0.4
  metrics_path: %s
  follow_redirects: false
  body_size_limit: 64MB
  sample_limit: %d
  label_limit: 64
  label_name_length_limit: 256
  label_value_length_limit: 4096%s
`, job, interval, interval, strconv.Quote(opt.Path), opt.MaxSeries, keep)
}

// run scrapes until the context ends.
func (s *scraper) run(ctx context.Context) error {
	if err := s.manager.ApplyConfig(s.config); err != nil {
		return fmt.Errorf("apply scrape configuration: %w", err)
	}
	sets := make(chan map[string][]*targetgroup.Group)
	ran := make(chan error, 1)
	go func() { ran <- s.manager.Run(sets) }()
	for first := true; first || ctx.Err() == nil; first = false {
		sets <- map[string][]*targetgroup.Group{job: {s.group()}}
		for first && len(s.manager.ScrapePools()) == 0 {
			time.Sleep(reloadEvery / 10) // a pool that is made after the end would never end
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
	}
	s.manager.Stop()
	return <-ran
}

// set exchanges the targets.
func (s *scraper) set(targets []Target) {
	byName := map[string]Target{}
	for _, t := range targets {
		byName[t.Name] = t
	}
	s.mu.Lock()
	hosts, byHost := map[string]string{}, map[string]Target{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t := byName[name]
		key := t.Name + "\x00" + t.Address
		host, ok := s.hosts[key]
		if !ok {
			s.next++
			host = "t" + strconv.Itoa(s.next) + hostSuffix
		}
		hosts[key], byHost[host] = host, t
	}
	s.hosts, s.byHost = hosts, byHost
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *scraper) group() *targetgroup.Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &targetgroup.Group{Source: job}
	for host, t := range s.byHost {
		set := model.LabelSet{model.AddressLabel: model.LabelValue(host + ":80")}
		for name, value := range t.Labels {
			if model.LegacyValidation.IsValidLabelName(name) && !strings.HasPrefix(name, "__") {
				set[model.LabelName(name)] = model.LabelValue(strings.ToValidUTF8(value, "\uFFFD"))
			}
		}
		set[model.InstanceLabel] = model.LabelValue(strings.ToValidUTF8(t.Name, "\uFFFD"))
		g.Targets = append(g.Targets, set)
	}
	slices.SortFunc(g.Targets, func(a, b model.LabelSet) int {
		return cmp.Compare(a[model.AddressLabel], b[model.AddressLabel])
	})
	return g
}

func (s *scraper) dialHost(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	t, ok := s.byHost[host]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dial %s: no such target", address)
	}
	return s.dial(ctx, t)
}

// health tells how many targets were asked, how many answered, and what is wrong with those that did not. One whose turn
// has not come yet is not silent.
func (s *scraper) health() (targets, up int, problem string) {
	wrong := map[string]string{}
	for _, t := range s.manager.TargetsActive()[job] {
		host, _, _ := net.SplitHostPort(t.GetValue(model.AddressLabel))
		s.mu.Lock()
		_, ours := s.byHost[host]
		s.mu.Unlock()
		if !ours || t.Health() == scrape.HealthUnknown {
			continue
		}
		targets++
		if t.Health() == scrape.HealthGood {
			up++
		} else if err := t.LastError(); err != nil {
			wrong[t.GetValue(model.InstanceLabel)] = err.Error()
		}
	}
	names := slices.Sorted(maps.Keys(wrong))
	if len(names) > 0 {
		problem = fmt.Sprintf("%d of %d targets do not answer, such as %s: %s", len(names), targets, names[0],
			strings.TrimPrefix(wrong[names[0]], "Get "+strconv.Quote("http://")+": "))
	}
	return targets, up, problem
}
