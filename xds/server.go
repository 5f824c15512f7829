package xds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Caller is who opened a stream, as it proved by token or certificate.
type Caller struct {
	Namespace, ServiceAccount string
	// Workload is the pod that the credential is bound to; "" where it is bound to none.
	Workload string
}

// Options are the settings of a Server. The zero value serves everybody who asks.
type Options struct {
	// Authenticate says who opened a stream, from its metadata or from the peer's certificate. An error refuses it. Nil
	// takes each node for what it calls itself: for tests, and for a server that listens on no network.
	Authenticate func(ctx context.Context) (Caller, error)
	// Log gets one line for a node that comes, goes or refuses; nil discards them.
	Log *slog.Logger
	// MaxStreams bounds the open streams; 0 is [DefaultMaxStreams].
	MaxStreams int
	// MaxNames bounds the names of one type that a stream may ask for; 0 is [DefaultMaxNames].
	MaxNames int
	// FirstRequest is how long a stream may say nothing at its start; 0 is [DefaultFirstRequest].
	FirstRequest time.Duration
}

// The defaults of Options.
const (
	DefaultMaxStreams   = 20_000
	DefaultMaxNames     = 100_000
	DefaultFirstRequest = 10 * time.Second
)

// Server is an ADS server. Set gives it a mesh, Register puts it behind a grpc.Server. It may be used from any goroutine.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	opt  Options
	log  *slog.Logger
	done chan struct{}
	wg   sync.WaitGroup // streams and their receivers

	// set is held while a mesh is translated. It guards translator and pods.
	set        sync.Mutex
	translator *Translator
	pods       map[podKey]*mesh.Workload

	// mu guards the rest, the part of each stream that its own comment names included. It is never held while anything is
	// translated or sent.
	mu      sync.Mutex
	closed  bool
	version string            // of the newest mesh
	seq     uint64            // its number
	seqs    map[string]uint64 // numbers of the last versions
	streams map[*stream]struct{}
	gone    map[string]NodeStatus // nodes that were here, by id
	changed chan struct{}         // nil while nobody listens
	waiters map[*waiter]struct{}
	names   nameSets
}

// waiter is a call of Wait. It is woken when it may have an end, not for each of a thousand nodes.
type waiter struct {
	seq  uint64
	left int // nodes at most that it waits for, or fewer
	wake chan struct{}
}

// poke lets the waiter count anew.
func (w *waiter) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// NewServer makes a Server that has no mesh yet: whoever connects waits for the first.
func NewServer(opt Options) *Server {
	opt.MaxStreams = cmp.Or(opt.MaxStreams, DefaultMaxStreams)
	opt.MaxNames = cmp.Or(opt.MaxNames, DefaultMaxNames)
	opt.FirstRequest = cmp.Or(opt.FirstRequest, DefaultFirstRequest)
	s := &Server{
		opt: opt, log: opt.Log, done: make(chan struct{}), seqs: map[string]uint64{},
		streams: map[*stream]struct{}{}, gone: map[string]NodeStatus{}, waiters: map[*waiter]struct{}{}, names: nameSets{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Register puts the server behind a grpc.Server.
func (s *Server) Register(g *grpc.Server) { discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s) }

// Close ends all streams and waits for them. It does not stop the grpc.Server, whose GracefulStop would wait for streams that
// never end by themselves: call Close first.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// maxVersions is how many versions Wait still knows.
const maxVersions = 256

// Set publishes a mesh. Nodes whose resources are the same as before are not spoken to. Publications are numbered from 1 on: of a mesh
// that changes and changes back, the version tells no more which of them a node has.
func (s *Server) Set(r *resolve.Resolver) {
	s.set.Lock()
	defer s.set.Unlock()
	s.translator, s.pods = newTranslator(r, s.translator), podsOf(r.Snapshot())

	s.mu.Lock()
	s.version = r.Snapshot().Version
	s.seq++
	if s.seqs[s.version] = s.seq; len(s.seqs) > maxVersions {
		s.forgetVersion()
	}
	seq, version := s.seq, s.version
	var list []*stream
	for st := range s.streams {
		if st.id.text != "" {
			list = append(list, st)
		}
	}
	for id, n := range s.gone {
		if s.pods[podKey{n.Pod.Namespace, n.Pod.Name}] == nil {
			delete(s.gone, id)
		}
	}
	s.mu.Unlock()

	slices.SortFunc(list, func(a, b *stream) int { return strings.Compare(a.id.text, b.id.text) })
	for _, st := range list {
		s.aim(st, version, seq)
	}
	s.mu.Lock()
	s.tell()
	s.mu.Unlock()
}

// forgetVersion drops the oldest version. The caller holds mu.
func (s *Server) forgetVersion() {
	oldest := ""
	for v, n := range s.seqs {
		if oldest == "" || n < s.seqs[oldest] {
			oldest = v
		}
	}
	delete(s.seqs, oldest)
}

// aim gives a stream the view that it shall have. The caller holds set.
func (s *Server) aim(st *stream, version string, seq uint64) {
	w := s.pods[podKey{st.id.namespace, st.id.pod}]
	var v View
	if w != nil {
		v = s.translator.View(Node{Workload: w, GRPC: st.id.grpc})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	same := st.aim.known == (w != nil) && st.aim.view == v
	settled := st.inForce == st.aim.seq && st.aim.seq != 0
	st.aim = aim{known: w != nil, view: v, version: version, seq: seq, account: account(w)}
	if w != nil {
		st.pod = w.Ref
	}
	if same && st.refusedAt != 0 {
		st.refusedAt = seq
	}
	if same && settled {
		st.inForce, st.inForceVersion = seq, version
		return
	}
	st.poke()
}

func account(w *mesh.Workload) string {
	if w == nil {
		return ""
	}
	return w.ServiceAccount
}

// tell wakes whoever waits for a change. The caller holds mu.
func (s *Server) tell() {
	s.tellListeners()
	for w := range s.waiters {
		w.poke()
	}
}

// tellListeners closes what Changed gave. The caller holds mu.
func (s *Server) tellListeners() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// tellTaken says that a node had one version in force and has a newer one now. The caller holds mu.
func (s *Server) tellTaken(before, now uint64) {
	s.tellListeners()
	for w := range s.waiters {
		if before < w.seq && now >= w.seq {
			if w.left--; w.left <= 0 {
				w.poke()
			}
		}
	}
}

// Changed gives a channel that is closed when Status may be another.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// NodeStatus is what the server knows of one node.
type NodeStatus struct {
	Node      string   // its id
	Pod       mesh.Ref // zero where the mesh has no such pod
	Connected bool
	Since     time.Time // of the connection, or of its end
	Delta     bool      // which variant of the protocol
	// Sent and Acked are the snapshot versions of the last response of each type, by Type; "" where there was none.
	Sent, Acked [typeCount]string
	// InForce is the newest snapshot version all of whose resources for this node it has acknowledged; "" where none is.
	InForce string
	// InForceNumber is that of the publication, 0 where none is in force.
	InForceNumber uint64
	// Refused is why the node refused its last response, "" where it did not.
	Refused string
}

// Status lists the nodes that are connected, and those of the mesh that were, by id.
func (s *Server) Status() []NodeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := map[string]NodeStatus{}
	for id, n := range s.gone {
		byID[id] = n
	}
	for st := range s.streams {
		if st.id.text == "" {
			continue
		}
		// A node that reconnects may have two streams for a while; the newer counts.
		if old, ok := byID[st.id.text]; !ok || !old.Connected || old.Since.Before(st.since) {
			byID[st.id.text] = st.status()
		}
	}
	out := make([]NodeStatus, 0, len(byID))
	for _, n := range byID {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b NodeStatus) int { return strings.Compare(a.Node, b.Node) })
	return out
}

// InForce is what one node of the mesh has.
type InForce struct {
	Pod    mesh.Ref
	Number uint64 // of the newest publication that is in force there, 0 for none
}

// InForce lists the connected nodes of the mesh, in no order: what of Status is asked for while nodes acknowledge.
func (s *Server) InForce() []InForce {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := make(map[string]*stream, len(s.streams)) // by id, as in Status
	for st := range s.streams {
		if old := newest[st.id.text]; st.id.text != "" && (old == nil || old.since.Before(st.since)) {
			newest[st.id.text] = st
		}
	}
	out := make([]InForce, 0, len(newest))
	for _, st := range newest {
		if !st.pod.IsZero() {
			out = append(out, InForce{st.pod, st.inForce})
		}
	}
	return out
}

// Wait waits until every connected node of the mesh has acknowledged what belongs to it in a snapshot version, or in a newer
// one. A node to which nothing changed counts at once. It says how many have, of how many, and fails where ctx ends first, or
// where all that are missing have refused.
func (s *Server) Wait(ctx context.Context, version string) (acked, total int, err error) {
	w := &waiter{wake: make(chan struct{}, 1)}
	defer s.forget(w)
	for {
		acked, total, refused, ok := s.count(version, w)
		switch {
		case ok && acked == total:
			return acked, total, nil
		case ok && acked+len(refused) == total:
			return acked, total, fmt.Errorf("wait for version %s: refused by %s", version, strings.Join(refused, "; "))
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return acked, total, fmt.Errorf("wait for version %s: %w", version, ctx.Err())
		case <-s.done:
			return acked, total, errors.New("wait for a version: the server was closed")
		}
	}
}

func (s *Server) forget(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, w)
}

// count says how far a version is, and has w woken when that may be the end.
func (s *Server) count(version string, w *waiter) (acked, total int, refused []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq, ok := s.seqs[version]
	for st := range s.streams {
		if !st.aim.known {
			continue
		}
		total++
		switch {
		case st.inForce >= seq:
			acked++
		case st.refusedAt >= seq:
			refused = append(refused, st.id.text+": "+st.refused)
		}
	}
	slices.Sort(refused)
	w.seq, w.left = seq, total-acked-len(refused)
	s.waiters[w] = struct{}{}
	return acked, total, refused, ok
}

// StreamAggregatedResources serves the state of the world.
func (s *Server) StreamAggregatedResources(g discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.serve(g.Context(), &world{g})
}

// DeltaAggregatedResources serves differences.
func (s *Server) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.serve(g.Context(), &delta{g})
}

// serve runs one stream.
func (s *Server) serve(ctx context.Context, w wire) error {
	st := &stream{server: s, wire: w, wake: make(chan struct{}, 1), since: time.Now()}
	if s.opt.Authenticate != nil {
		c, err := s.opt.Authenticate(ctx)
		if err != nil {
			return status.Error(codes.Unauthenticated, "open stream: "+err.Error())
		}
		st.caller = &c
	}
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		return status.Error(codes.Unavailable, "open stream: the server is closing")
	case len(s.streams) >= s.opt.MaxStreams:
		s.mu.Unlock()
		return status.Errorf(codes.ResourceExhausted, "open stream: %d streams are open", s.opt.MaxStreams)
	}
	s.streams[st] = struct{}{}
	s.wg.Add(2)
	s.mu.Unlock()
	requests := make(chan *request)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer s.wg.Done()
		receive(ctx, w, requests) // ends when this handler has returned, if not before
	}()
	err := st.run(ctx, requests)
	cancel()
	s.leave(st, err)
	s.wg.Done()
	return err
}

// receive hands on requests until the client is gone.
func receive(ctx context.Context, w wire, to chan<- *request) {
	defer close(to)
	for {
		r, err := w.recv()
		if err != nil {
			return
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return
		}
	}
}

// join makes a stream a node's, after its first request.
func (s *Server) join(st *stream, id nodeID) error {
	if c := st.caller; c != nil && (c.Namespace != id.namespace || c.Workload != "" && c.Workload != id.pod) {
		return status.Errorf(codes.PermissionDenied, "open stream: %s/%s may not ask for %s/%s", c.Namespace, cmp.Or(c.Workload, c.ServiceAccount), id.namespace, id.pod)
	}
	s.set.Lock()
	defer s.set.Unlock()
	s.mu.Lock()
	st.id = id
	version, seq := s.version, s.seq
	delete(s.gone, id.text)
	s.mu.Unlock()
	s.log.Info("node connected", "node", id.text, "delta", st.wire.delta())
	if s.translator != nil {
		s.aim(st, version, seq)
	}
	s.mu.Lock()
	s.tell()
	s.mu.Unlock()
	return nil
}

func (s *Server) leave(st *stream, err error) {
	if st.id.text != "" { // set by this goroutine alone; and nobody waits for a line of the log
		s.log.Info("node disconnected", "node", st.id.text, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
	for i := range st.subs {
		s.names.release(st.subs[i].names)
	}
	if st.id.text == "" {
		return
	}
	if st.aim.known && len(s.gone) < s.opt.MaxStreams {
		n := st.status()
		n.Connected, n.Since = false, time.Now()
		s.gone[st.id.text] = n
	}
	s.tell()
}
