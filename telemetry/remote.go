package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/oarlock/oarlock/metrics"
)

const (
	// maxResponse bounds an answer of a Prometheus, in bytes.
	maxResponse = 256 << 20
	// maxQueries bounds how many queries it works on for us at once.
	maxQueries = 4
	// assumedInterval is Prometheus' usual one, where nothing tells it.
	assumedInterval = 15 * time.Second
	// intervalHolds is how long a detected interval is believed.
	intervalHolds = time.Minute
)

// Remote asks a Prometheus elsewhere, or what speaks its HTTP API. All of its methods may be called at once. It implements
// [metrics.Flows].
type Remote struct {
	*questions
	opt     Options
	address string // without credentials
	api     v1.API
	running chan struct{}
	client  *http.Transport
	// maxResponse is the constant; tests have others.
	maxResponse int64

	mu       sync.Mutex // guards what was detected
	detected time.Duration
	when     time.Time
}

var _ metrics.Flows = (*Remote)(nil)

// Connect prepares to ask the Prometheus at a URL. It does not ask yet: the Prometheus may be away, and come. A user and
// password in the URL are for basic authentication; they are never printed.
func Connect(address string, opt Options) (*Remote, error) {
	detect := opt.Interval == 0
	opt = opt.complete()
	if detect {
		opt.Interval = 0
	}
	u, err := url.Parse(address)
	if err != nil {
		// The error of url.Parse has the URL in it, and so perhaps a password.
		return nil, errors.New("connect to prometheus: the address is no URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("connect to prometheus %s: want http://host:port or https://host:port", u.Redacted())
	}
	user := u.User
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	transport := http.DefaultTransport.(*http.Transport).Clone()
	r := &Remote{opt: opt, address: u.String(), running: make(chan struct{}, maxQueries), client: transport, maxResponse: maxResponse}
	client, err := api.NewClient(api.Config{Address: r.address, RoundTripper: &caller{transport, r, user, opt.TokenFile}})
	if err != nil {
		return nil, fmt.Errorf("connect to prometheus %s: %w", r.address, err)
	}
	r.api = v1.NewAPI(client)
	r.questions = newQuestions(r, opt)
	r.interval = r.scrapeInterval
	return r, nil
}

// Close ends idle connections.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	return nil
}

// caller adds credentials, and bounds the answer.
type caller struct {
	http.RoundTripper
	remote    *Remote
	user      *url.Userinfo
	tokenFile string
}

// RoundTrip is of http.RoundTripper.
func (c *caller) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if c.user != nil {
		password, _ := c.user.Password()
		req.SetBasicAuth(c.user.Username(), password)
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	res, err := c.RoundTripper.RoundTrip(req)
	if err == nil {
		res.Body = &boundedBody{res.Body, c.remote.maxResponse}
	}
	return res, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read is of io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the answer is too large: ask about a shorter time")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (r *Remote) instant(ctx context.Context, query string, at time.Time) ([]track, error) {
	return r.run(ctx, func() (model.Value, v1.Warnings, error) {
		return r.api.Query(ctx, query, at, v1.WithTimeout(r.opt.Timeout))
	})
}

func (r *Remote) overTime(ctx context.Context, query string, s steps) ([]track, error) {
	return r.run(ctx, func() (model.Value, v1.Warnings, error) {
		return r.api.QueryRange(ctx, query, v1.Range{Start: s.start, End: s.end, Step: s.step}, v1.WithTimeout(r.opt.Timeout))
	})
}

func (r *Remote) run(ctx context.Context, ask func() (model.Value, v1.Warnings, error)) ([]track, error) {
	select {
	case r.running <- struct{}{}:
		defer func() { <-r.running }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	value, _, err := ask()
	if err != nil {
		return nil, r.explain(err)
	}
	switch v := value.(type) {
	case model.Vector:
		out := make([]track, len(v))
		for i, s := range v {
			out[i] = track{labels: metric(s.Metric), points: []point{{int64(s.Timestamp), float64(s.Value)}}}
		}
		return out, nil
	case model.Matrix:
		return ofStreams(v), nil
	case *model.Scalar:
		return []track{{labels: metric{}, points: []point{{int64(v.Timestamp), float64(v.Value)}}}}, nil
	}
	return nil, fmt.Errorf("prometheus %s: query gave a %s", r.address, value.Type())
}

func ofStreams(m model.Matrix) []track {
	out := make([]track, len(m))
	for i, s := range m {
		out[i] = track{labels: metric(s.Metric), points: make([]point, len(s.Values))}
		for j, p := range s.Values {
			out[i].points[j] = point{int64(p.Timestamp), float64(p.Value)}
		}
	}
	return out
}

// metric are the labels in an answer.
type metric model.Metric

// Get is of labelled.
func (m metric) Get(name string) string { return string(m[model.LabelName(name)]) }

// Range is of labelled.
func (m metric) Range(show func(labels.Label)) {
	for name, value := range m {
		show(labels.Label{Name: string(name), Value: string(value)})
	}
}

// explain says what is wrong in words, without the query that a URL may carry.
func (r *Remote) explain(err error) error {
	var refused *v1.Error
	var asked *url.Error
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, &refused) && refused.Type == v1.ErrClient && strings.Contains(refused.Msg, "401"):
		err = errors.New("it wants credentials, or others: 401")
	case errors.As(err, &refused) && refused.Type == v1.ErrBadResponse:
		err = fmt.Errorf("no prometheus answers there: %s", refused.Msg)
	case errors.As(err, &refused):
		err = refused
	case errors.As(err, &network) && network.Timeout():
		err = fmt.Errorf("no answer within %s", r.opt.Timeout)
	case errors.As(err, &asked):
		err = asked.Err
	}
	return fmt.Errorf("ask prometheus %s: %w", r.address, err)
}

// scrapeInterval finds out how often sidecars are scraped: the usual distance of the samples of what each of them has.
func (r *Remote) scrapeInterval(ctx context.Context) (time.Duration, error) {
	if r.opt.Interval > 0 {
		return r.opt.Interval, nil
	}
	r.mu.Lock()
	interval, fresh := r.detected, time.Since(r.when) < intervalHolds
	r.mu.Unlock()
	if fresh {
		return interval, nil
	}
	for _, back := range []string{"2m", "10m"} {
		found, err := r.instant(ctx, sidecars+"["+back+"]", time.Now())
		if err != nil {
			return 0, err
		}
		if interval = usualDistance(found); interval > 0 {
			r.mu.Lock()
			r.detected, r.when = interval, time.Now()
			r.mu.Unlock()
			return interval, nil
		}
	}
	return assumedInterval, nil // and look again the next time
}

// usualDistance gives the median distance of samples, 0 where there are none to tell.
func usualDistance(all []track) time.Duration {
	var between []int64
	for _, t := range all {
		for i := 1; i < len(t.points); i++ {
			between = append(between, t.points[i].at-t.points[i-1].at)
		}
	}
	if len(between) == 0 {
		return 0
	}
	slices.Sort(between)
	return (time.Duration(between[len(between)/2]) * time.Millisecond).Round(100 * time.Millisecond)
}

// Health is of [metrics.Flows].
func (r *Remote) Health(ctx context.Context) metrics.StoreHealth {
	ctx, cancel := context.WithTimeout(ctx, r.opt.Timeout)
	defer cancel()
	h := metrics.StoreHealth{Kind: "prometheus", Address: r.address}
	var err error
	if h.Targets, err = r.number(ctx, "count(count by (job, instance) (last_over_time("+sidecars+"[10m])))"); err == nil {
		h.Up, err = r.number(ctx, "count(count by (job, instance) ("+sidecars+"))")
	}
	if err == nil {
		h.Interval, err = r.scrapeInterval(ctx)
	}
	if err != nil {
		h.Problem = err.Error()
		return h
	}
	h.OK = true
	if h.Targets == 0 {
		h.Problem = "it has no series of sidecars: nothing there has istio_build or oarlock_build_info"
	}
	r.describe(ctx, &h)
	return h
}

// number evaluates what gives one value, or nothing for zero.
func (r *Remote) number(ctx context.Context, query string) (int, error) {
	found, err := r.instant(ctx, query, time.Now())
	if err != nil || len(found) == 0 {
		return 0, err
	}
	return int(found[0].value()), nil
}

// describe asks what not every Prometheus tells.
func (r *Remote) describe(ctx context.Context, h *metrics.StoreHealth) {
	if t, err := r.api.TSDB(ctx); err == nil {
		h.Series = uint64(max(t.HeadStats.NumSeries, 0))
	}
	if info, err := r.api.Runtimeinfo(ctx); err == nil {
		first, _, _ := strings.Cut(info.StorageRetention, " ")
		if d, err := model.ParseDuration(first); err == nil {
			h.Retention = time.Duration(d)
		}
	}
}
