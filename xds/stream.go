package xds

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oarlock/oarlock/mesh"
)

// aim is what a stream's node shall have.
type aim struct {
	known   bool // the mesh has such a pod
	view    View
	version string
	seq     uint64
	account string
}

// stream is one client. One goroutine runs it: it takes requests, and compares what the client was told with its aim.
type stream struct {
	server *Server
	wire   wire
	caller *Caller // nil where nobody was asked for credentials
	since  time.Time
	wake   chan struct{} // has one place: several changes are one
	subs   [typeCount]subscription
	nonces uint64
	pushed aim // that the last response came from

	// Guarded by server.mu.
	id             nodeID
	pod            mesh.Ref
	aim            aim
	inForce        uint64 // number of the newest version that is in force
	inForceVersion string
	refused        string
	refusedAt      uint64 // number of the newest version of which something is refused
	sent, acked    [typeCount]string
}

// poke makes the stream look at its aim again.
func (st *stream) poke() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// status describes the node. The caller holds server.mu.
func (st *stream) status() NodeStatus {
	return NodeStatus{
		Node: st.id.text, Pod: st.pod, Connected: true, Since: st.since, Delta: st.wire.delta(),
		Sent: st.sent, Acked: st.acked, InForce: st.inForceVersion, InForceNumber: st.inForce, Refused: st.refused,
	}
}

// run serves the stream until the client or the server ends it.
func (st *stream) run(ctx context.Context, requests <-chan *request) error {
	first := time.NewTimer(st.server.opt.FirstRequest)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.server.done:
			return status.Error(codes.Unavailable, "the server is closing")
		case <-first.C:
			if st.id.text == "" {
				return status.Error(codes.DeadlineExceeded, "open stream: no request came")
			}
			continue
		case r, ok := <-requests:
			if !ok {
				return nil
			}
			if err := st.take(r); err != nil {
				return err
			}
		case <-st.wake:
		}
		if err := st.step(); err != nil {
			return err
		}
	}
}

// take notes a request.
func (st *stream) take(r *request) error {
	if st.id.text == "" {
		id, err := parseNode(r.node)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := st.server.join(st, id); err != nil {
			return err
		}
	}
	kind, ok := typeOf(r.url)
	if !ok {
		return nil // secrets and the like: this server has none, and says so by silence
	}
	if max := st.server.opt.MaxNames; len(r.names) > max || len(r.subscribe) > max || len(r.have) > max {
		return status.Errorf(codes.ResourceExhausted, "subscribe to %s: more than %d names", kind, max)
	}
	sub := &st.subs[kind]
	if r.nonce != "" && r.nonce == sub.nonce && sub.waiting {
		st.answered(kind, r)
	} else if !st.wire.delta() && sub.active && r.nonce != sub.nonce {
		return nil // an answer to what was overtaken
	}
	if st.wire.delta() {
		return st.subscribeDelta(kind, r)
	}
	st.subscribe(kind, r)
	return nil
}

const maxReason = 1024

// answered notes that a response was taken or refused.
func (st *stream) answered(kind Type, r *request) {
	sub := &st.subs[kind]
	sub.waiting = false
	s := st.server
	if !r.refused {
		sub.refused, sub.flying = len(sub.barred) > 0, nil
		s.mu.Lock()
		st.acked[kind] = st.sent[kind]
		if !st.anyRefused() {
			st.refused, st.refusedAt = "", 0
		}
		s.mu.Unlock()
		return
	}
	why := kind.String() + ": " + r.why[:min(len(r.why), maxReason)]
	// What it refused is sent again when its aim is another, and not before.
	sub.refused, sub.bad = true, sub.told
	sub.barred, sub.flying = append(sub.barred, sub.flying...), nil
	s.mu.Lock()
	st.refused, st.refusedAt = why, st.pushed.seq
	s.tell()
	s.mu.Unlock()
	s.log.Warn("node refuses", "node", st.id.text, "reason", why)
}

func (st *stream) anyRefused() bool {
	for i := range st.subs {
		if st.subs[i].refused {
			return true
		}
	}
	return false
}

// step sends what the client has not been told yet: what is new or changed in the order of types, each type once its last
// response was answered, and what is gone when all the rest was taken.
func (st *stream) step() error {
	s := st.server
	s.mu.Lock()
	to := st.aim
	s.mu.Unlock()
	if !to.known {
		return nil // the pod is not there yet, or gone: what the client has stays as it is
	}
	if c := st.caller; c != nil && c.ServiceAccount != "" && c.ServiceAccount != to.account {
		return status.Errorf(codes.PermissionDenied, "%s/%s may not ask for a pod of %s", c.Namespace, c.ServiceAccount, to.account)
	}
	var late bool
	for _, kind := range Types() {
		blocked, err := st.advance(kind, to)
		if err != nil {
			return err
		}
		if blocked {
			// The client may not answer before it has what it asks for besides: it gets the rest of what it was sent last.
			late, to = true, st.pushed
		}
	}
	if late {
		return nil
	}
	for i := range st.subs {
		if sub := &st.subs[i]; sub.active && (sub.waiting || sub.refused) {
			return nil
		}
	}
	for _, kind := range []Type{Clusters, Endpoints} {
		if err := st.takeAway(kind, to); err != nil {
			return err
		}
	}
	if !st.settled(to) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := st.inForce; before < to.seq {
		st.inForce, st.inForceVersion = to.seq, to.version
		// A newer aim with the same view is in force too: nobody wakes for it.
		if st.aim.view == to.view && st.aim.known {
			st.inForce, st.inForceVersion = st.aim.seq, st.aim.version
		}
		s.tellTaken(before, st.inForce)
	}
	return nil
}

// advance sends what is new of one type. It is blocked where the last response was not answered yet.
func (st *stream) advance(kind Type, to aim) (blocked bool, err error) {
	sub, l := &st.subs[kind], to.view.lists[kind]
	switch {
	case !sub.active:
		return false, nil
	case sub.refused && sub.bad != l:
		sub.pending, sub.barred = append(sub.pending, sub.barred...), nil
	case sub.refused && len(sub.pending) == 0 && !sub.fresh:
		return false, nil
	}
	changed, removed := sub.difference(l)
	held := kind == Clusters || kind == Endpoints
	if len(changed)+len(sub.pending) == 0 && !sub.fresh && (len(removed) == 0 || held || !st.wire.delta() && kind == Routes) {
		sub.keep(held, removed, l)
		sub.told = l
		return false, nil
	}
	if sub.waiting {
		return true, nil
	}
	sub.keep(held, removed, l)
	r := &response{kind: kind, version: to.version, send: changed}
	for _, x := range changed {
		sub.flying = append(sub.flying, x.Name)
	}
	switch {
	case st.wire.delta() && held:
		r.removed = sub.missing(l)
	case st.wire.delta():
		r.removed = append(names(removed), sub.missing(l)...)
	case kind == Clusters || kind == Listeners:
		r.send = append(sub.all(l), sub.kept...)
	}
	sub.flying = append(sub.flying, r.removed...)
	sub.told, sub.fresh, sub.pending, sub.have = l, false, nil, nil
	return false, st.send(sub, r, to)
}

// takeAway tells the client what it no longer needs.
func (st *stream) takeAway(kind Type, to aim) error {
	sub, l := &st.subs[kind], to.view.lists[kind]
	gone := sub.kept
	sub.kept = nil
	if len(gone) == 0 || !st.wire.delta() && kind == Endpoints {
		return nil
	}
	r := &response{kind: kind, version: to.version}
	if st.wire.delta() {
		r.removed = names(gone)
	} else {
		r.send = sub.all(l)
	}
	return st.send(sub, r, to)
}

func (st *stream) send(sub *subscription, r *response, from aim) error {
	st.nonces++
	st.pushed = from
	r.nonce = strconv.FormatUint(st.nonces, 10)
	sub.nonce, sub.waiting = r.nonce, true
	st.server.mu.Lock()
	st.sent[r.kind] = r.version
	st.server.mu.Unlock()
	return st.wire.send(r)
}

// settled says whether the client has taken all that belongs to an aim: nothing is on its way, and it has asked for every
// resource. A gRPC client asks for what it calls and no more.
func (st *stream) settled(to aim) bool {
	active := false
	for _, kind := range Types() {
		sub := &st.subs[kind]
		active = active || sub.active
		if sub.waiting || sub.refused || !st.id.grpc && !sub.covers(to.view.lists[kind]) {
			return false
		}
	}
	return active
}
