package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/metrics"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Identity is the workload's own SVID and trust bundle, kept fresh by somebody else. Its configurations follow every
// renewal, resume sessions, and check the peer with what is trusted at that moment; a peer that is refused is an error with
// a method Label() string that names the cause.
type Identity interface {
	ServerConfig(authorize spiffeid.Matcher) *tls.Config
	ClientConfig(authorize spiffeid.Matcher) *tls.Config
}

// Options are what a Proxy is made with.
type Options struct {
	// Identity may be nil: then a TLS context that needs it fails its handshakes.
	Identity Identity
	// Self is the workload that the proxy stands beside.
	Self Peer
	// NodeID is the xDS node id; what peers know us by.
	NodeID string
	// Series counts; nil is a registry that nobody reads.
	Series *metrics.Registry
	Log    *slog.Logger // default: nowhere
	// Stdout is where an access log of /dev/stdout goes; default os.Stdout. Stderr likewise.
	Stdout, Stderr io.Writer
	Capture        Capture
	// Mounts say where a certificate file lies whose path begins with one of them: mount path to folder.
	Mounts map[string]string
	// DrainTime is how long a connection may go on after its filter chain is no longer in force, default
	// [DefaultDrainTime].
	DrainTime time.Duration
	// MaxConnections bounds accepted connections, default [DefaultMaxConnections]; more are refused at once.
	MaxConnections int
}

// What an Options field means when it is zero.
const (
	DefaultDrainTime      = 10 * time.Second
	DefaultMaxConnections = 100_000
)

// Capture is how connections come in and go out; see package bootstrap.
type Capture struct {
	Transparent bool
	Doors       []Door
	Application netip.Addr // the zero value: connections keep their destination
	Source      netip.Addr
	Mark        int
	// Uncounted are callers whose connections are in no series but those of listeners and clusters, and in no access log.
	Uncounted []netip.Prefix
	Names     map[string]netip.Addr
}

// Door is a listening address that stands for an original destination.
type Door struct {
	Listen    netip.AddrPort
	Direction Direction
	Original  netip.AddrPort
	HTTPProxy bool
}

// Proxy carries connections as its Config says. Its methods may be called from any goroutine.
type Proxy struct {
	opt      Options
	log      *slog.Logger
	state    atomic.Pointer[state]
	draining atomic.Bool
	nextID   atomic.Uint64
	open64   atomic.Int64 // accepted connections that are open
	logs     logFiles
	files    certFiles
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	crew     crew

	applying sync.Mutex // one Apply at a time; guards doors
	doors    map[doorKey]*door

	mu    sync.Mutex // guards conns
	conns map[*downstream]struct{}
}

// A state is one Config in force. It is immutable but for what its clusters count.
type state struct {
	config    *Config
	listeners []*listener
	byAddress map[netip.AddrPort]*listener // by original destination
	inbound   *listener                    // where inbound doors lead
	outbound  *listener
	clusters  map[string]*cluster
	tables    map[string]*routes
}
