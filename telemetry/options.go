package telemetry

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"time"
)

// Options are those of [Open] and [Connect]; each field says whose it is.
type Options struct {
	// Folder is where the store keeps what it saw. Open makes it, for its owner alone. Required by Open.
	Folder string
	// Dial opens a connection to a target's page of metrics. Required by Open.
	Dial func(ctx context.Context, t Target) (net.Conn, error)
	// Interval is the time between two scrapes of a target: DefaultInterval for Open if zero. Connect finds it out if zero.
	Interval time.Duration
	// Retention is how long the store keeps what it saw, DefaultRetention if zero, and MaxBytes how much of it there may be
	// on disk, DefaultMaxBytes if zero. What is younger than some twenty minutes stays whatever its size.
	Retention time.Duration
	MaxBytes  int64
	// MaxSeries bounds what the store takes from one target, DefaultMaxSeries if zero. A target with more counts as down.
	MaxSeries int
	// Path is that of the targets' page of metrics, DefaultPath if "".
	Path string

	// TokenFile holds a bearer token for Connect; it is read again for each query.
	TokenFile string

	// Timeout bounds a question, DefaultTimeout if zero.
	Timeout time.Duration
	// Logger takes what is worth telling; nil for none.
	Logger *slog.Logger
}

// What a field of Options means when it is zero.
const (
	DefaultInterval  = time.Second
	DefaultRetention = 24 * time.Hour
	DefaultMaxBytes  = 512 << 20
	DefaultMaxSeries = 50_000
	DefaultPath      = "/stats/prometheus"
	DefaultTimeout   = 10 * time.Second
)

// Target is a sidecar to scrape.
type Target struct {
	// Name is unique, such as "pod.namespace"; it becomes the label instance.
	Name string
	// Address is for Options.Dial to understand.
	Address string
	// Labels go on every series of the target that does not have them.
	Labels map[string]string
}

func (o Options) complete() Options {
	o.Interval = cmp.Or(o.Interval, DefaultInterval)
	o.Retention = cmp.Or(o.Retention, DefaultRetention)
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxSeries = cmp.Or(o.MaxSeries, DefaultMaxSeries)
	o.Path = cmp.Or(o.Path, DefaultPath)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
