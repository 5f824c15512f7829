package proxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// An httpManager is an HTTPManager in force, of one filter chain.
type httpManager struct {
	proxy     *Proxy
	config    *HTTPManager
	policy    string
	direction Direction
	logs      accessLogs
	// logRequest, logResponse and logTrailers name the headers that the logs want besides those of a Record.
	logRequest, logResponse, logTrailers []string

	table  *routes // nil: by name
	limits headLimits
	server string
	// own are the headers by which peers know us, whole lines; nil where nothing is exchanged.
	own []byte

	idle, streamIdle, headerTime time.Duration

	// dropRequest and dropResponse say which headers are not passed on as they came.
	dropRequest, dropResponse [headerCount]bool
	date                      atomic.Pointer[dateLine]

	peers  peerCache
	series seriesCache
}

func newHTTPManager(p *Proxy, l *Listener, c *FilterChain) (*httpManager, error) {
	m := c.HTTP
	h := &httpManager{
		proxy: p, config: m, policy: c.Policy, direction: l.Direction, logs: p.openLogs(m.AccessLog),
		limits:     headLimits{fields: cmp.Or(m.MaxHeaders, DefaultMaxHeaders), size: cmp.Or(m.MaxHeaderSize, DefaultMaxHeaderSize)},
		server:     cmp.Or(m.ServerName, DefaultServerName),
		idle:       cmp.Or(m.IdleTimeout, DefaultHTTPIdleTimeout),
		streamIdle: cmp.Or(m.StreamIdleTimeout, DefaultStreamIdleTimeout),
		headerTime: cmp.Or(m.HeaderTimeout, DefaultHeaderTimeout),
	}
	if m.RouteName == "" {
		t, err := newRoutes(tableOrNone(m.Table))
		if err != nil {
			return nil, err
		}
		h.table = t
	}
	for _, t := range h.logs {
		request, response, trailers := t.format.Headers()
		h.logRequest = union(h.logRequest, request)
		h.logResponse = union(h.logResponse, response)
		h.logTrailers = union(h.logTrailers, trailers)
	}
	if m.PeerExchange {
		own := metadataID + ": " + p.opt.NodeID + "\r\n" + metadataBody + ": "
		h.own = append(base64.StdEncoding.AppendEncode([]byte(own), encodeMetadata(p.opt.Self)), "\r\n"...)
	}
	h.chooseDrops()
	return h, nil
}

func tableOrNone(t *RouteTable) *RouteTable {
	if t == nil {
		return &RouteTable{}
	}
	return t
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// maxPeers bounds the neighbours that are remembered; past that all are forgotten and learnt anew. maxMetadata bounds what
// one says of itself, in bytes of the header; more is not listened to.
const (
	maxPeers    = 1024
	maxMetadata = 8 << 10
)

// A peerCache keeps one Peer for each neighbour, so that what it says of itself is read once and labels can be told apart by
// their address.
type peerCache struct {
	mu    sync.RWMutex // guards peers
	peers map[peerKey]*Peer
}

type peerKey struct {
	base Peer
	said [sha256.Size]byte // zero where it said nothing
}

// intern gives the peer of whom base is known, and who said something in a header's value. What cannot be read is as good as
// nothing, and takes no room.
func (c *peerCache) intern(base Peer, said []byte) *Peer {
	key := peerKey{base: base}
	if len(said) > 0 && len(said) <= maxMetadata {
		key.said = sha256.Sum256(said)
	}
	c.mu.RLock()
	p := c.peers[key]
	c.mu.RUnlock()
	if p != nil {
		return p
	}
	p = &base
	if key.said != [sha256.Size]byte{} {
		ok := false
		if p, ok = heard(base, said); !ok {
			return p
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers == nil || len(c.peers) >= maxPeers {
		c.peers = map[peerKey]*Peer{}
	}
	c.peers[key] = p
	return p
}

// heard adds what a peer says of itself to what is known; false where it cannot be read. What its certificate proves it
// cannot say otherwise.
func heard(base Peer, said []byte) (*Peer, bool) {
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(said)))
	n, err := base64.StdEncoding.Decode(raw, said)
	if err != nil {
		return &base, false
	}
	p, err := decodeMetadata(raw[:n])
	if err != nil || p == (Peer{}) {
		return &base, false
	}
	if p.Principal = base.Principal; base.Principal != "" && base.Namespace != "" {
		p.Namespace = base.Namespace
	}
	return &p, true
}

// A seriesKey is what tells the series of one manager apart.
type seriesKey struct {
	cluster  *cluster
	peer     *Peer
	code     int
	flags    uint64
	security metrics.Security
}

// maxSeries bounds the series that a manager remembers.
const maxSeries = 1024

// A seriesCache keeps the series that a manager has counted on.
type seriesCache struct {
	mu    sync.RWMutex // guards what follows
	state *state
	known map[seriesKey]*metrics.Request
}

// get gives a series, which make makes if it is not known. The series of clusters of another state are forgotten.
func (c *seriesCache) get(st *state, key seriesKey, make func() *metrics.Request) *metrics.Request {
	c.mu.RLock()
	q := c.known[key]
	current := c.state == st
	c.mu.RUnlock()
	if q != nil && current {
		return q
	}
	q = make()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != st || c.known == nil || len(c.known) >= maxSeries {
		c.state, c.known = st, map[seriesKey]*metrics.Request{}
	}
	c.known[key] = q
	return q
}

// servicePort is the port as the client called it: of the cluster's name where that has Istio's form, else of the
// destination.
func servicePort(c *cluster, original netip.AddrPort) uint16 {
	if c == nil {
		return original.Port()
	}
	parts := strings.Split(c.config.Name, "|")
	if len(parts) == 4 {
		if n, err := strconv.ParseUint(parts[1], 10, 16); err == nil {
			return uint16(n)
		}
	}
	return original.Port()
}
