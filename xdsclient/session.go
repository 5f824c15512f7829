package xdsclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A session is one stream: what the server wants, and what it was told of that.
//
// A response that cannot be translated is refused at once, and the rest of the configuration goes on without it. The others
// wait until the endpoints and routes that they name are there; then all is applied, and they are acknowledged. So an ACK
// says that the response is in force, or, of endpoints and routes, will be with what is not acknowledged yet.
type session struct {
	client *Client
	link   link
	logs   AccessLogFunc
	heard  bool

	next       state
	nonce      [kinds]string
	subscribed [kinds][]string // in order
	asked      [kinds]bool
	refused    [kinds]map[string]change   // of responses that were refused; part of the next one
	absent     [kinds]map[string]struct{} // names that were waited for in vain
	pending    []*update
	named      bool   // what is named may have changed since the last configuration
	version    string // the newest

	deadline *time.Timer // for what is missing, or to apply again what the sink refused
	failures int         // of the sink, in a row

	repeats [kinds]repeat
	pace    *time.Timer // for the answers that are held back
}

// A repeat is a version that was refused, how often, and an answer that is held back. Servers that compare versions send
// what was refused again at once, as fast as they can; answering late is all that a client can do.
type repeat struct {
	version string
	times   int
	held    *update
	err     error
	due     time.Time
}

func newSession(c *Client, l link) *session {
	s := &session{client: c, link: l, next: c.good, version: c.snapshot, deadline: time.NewTimer(0), pace: time.NewTimer(0)}
	s.deadline.Stop()
	s.pace.Stop()
	if c.options.AccessLog != nil {
		s.logs = c.accessLog
	}
	for k := range kinds {
		s.refused[k] = map[string]change{}
		s.absent[k] = map[string]struct{}{}
	}
	return s
}

// run goes on until the stream or ctx ends, and waits for its goroutine; the caller must end the stream's own context.
func (s *session) run(ctx context.Context) error {
	defer s.deadline.Stop()
	defer s.pace.Stop()
	updates := make(chan *update)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	var receiving sync.WaitGroup
	defer receiving.Wait()
	defer cancel()
	if err := s.begin(); err != nil {
		return err
	}
	receiving.Go(func() { receive(ctx, s.link, updates, ended) })
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case u := <-updates:
			err = s.take(u)
		case <-s.deadline.C:
			err = s.expire()
		case <-s.pace.C:
			err = s.release()
		}
		if err != nil {
			return err
		}
	}
}

// receive hands responses on until the stream ends.
func receive(ctx context.Context, l link, updates chan<- *update, ended chan<- error) {
	for {
		u, err := l.recv()
		if err != nil {
			ended <- err
			return
		}
		select {
		case updates <- u:
		case <-ctx.Done():
			return
		}
	}
}

// begin subscribes, and says what is there from before.
func (s *session) begin() error {
	for k := range kinds {
		if k.wildcard() {
			if err := s.ask(k, nil, nil); err != nil {
				return err
			}
			if err := s.subscribe(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// subscribe asks for the endpoints or routes that resources of k name, in force or to come, and for no others.
func (s *session) subscribe(k kind) error {
	child, names := k.names(), s.next[k].wanted()
	if good := s.client.good[k].wanted(); !slices.Equal(names, good) {
		names = slices.Concat(names, good)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if slices.Equal(names, s.subscribed[child]) {
		return nil
	}
	added, gone := difference(names, s.subscribed[child]), difference(s.subscribed[child], names)
	s.subscribed[child] = names
	for name := range s.absent[child] {
		if _, ok := slices.BinarySearch(names, name); !ok {
			delete(s.absent[child], name)
		}
	}
	return s.ask(child, added, gone)
}

// ask sends a subscription.
func (s *session) ask(k kind, added, gone []string) error {
	r := request{
		kind: k, version: s.client.version[k], nonce: s.nonce[k], names: s.subscribed[k],
		subscribe: added, unsubscribe: gone,
	}
	if s.client.options.Delta {
		r.nonce = "" // an answer has one; this is none
	}
	if !s.asked[k] {
		s.asked[k] = true
		r.initial = map[string]string{}
		for _, e := range s.client.good[k].entries() {
			r.initial[e.name] = e.version
		}
	}
	return s.link.send(r)
}

// answer sends an ACK, or a NACK if err is not nil; the latter later if it was said before.
func (s *session) answer(u *update, err error) error {
	r := &s.repeats[u.kind]
	if err == nil || r.version != u.version || u.version == "" {
		*r = repeat{}
		if err != nil {
			r.version = u.version
		}
		s.client.note(u, err)
		return s.send(u, err)
	}
	r.times++
	r.held, r.err, r.due = u, err, time.Now().Add(backOff(r.times))
	s.schedule()
	return nil
}

// backOff is a second, then twice as much each time, up to half a minute.
func backOff(times int) time.Duration {
	return min(time.Second<<min(times-1, 6), 30*time.Second)
}

// schedule sets the timer to the first answer that is held back.
func (s *session) schedule() {
	var first time.Time
	for _, r := range s.repeats {
		if r.held != nil && (first.IsZero() || r.due.Before(first)) {
			first = r.due
		}
	}
	if !first.IsZero() {
		s.pace.Reset(time.Until(first))
	}
}

// release sends the answers that are due.
func (s *session) release() error {
	for k := range s.repeats {
		if r := &s.repeats[k]; r.held != nil && !time.Now().Before(r.due) {
			u := r.held
			r.held = nil
			if err := s.send(u, r.err); err != nil {
				return err
			}
		}
	}
	s.schedule()
	return nil
}

// send sends an answer.
func (s *session) send(u *update, err error) error {
	return s.link.send(request{
		kind: u.kind, version: s.client.version[u.kind], nonce: u.nonce,
		names: s.subscribed[u.kind], refused: err,
	})
}

// take deals with a response.
func (s *session) take(u *update) error {
	if !s.heard {
		s.heard = true
		s.client.answers(u.server)
	}
	s.nonce[u.kind] = u.nonce
	s.repeats[u.kind].held = nil // a newer response needs no answer to the older
	if !u.full {
		for name, c := range s.refused[u.kind] {
			if _, newer := u.changes[name]; !newer {
				u.changes[name] = c
			}
		}
	}
	merged, err := s.merge(u)
	if err != nil {
		if !u.full {
			s.refused[u.kind] = u.changes
		}
		return s.answer(u, err)
	}
	clear(s.refused[u.kind])
	s.next[u.kind] = merged
	s.version = u.version
	s.pending = append(s.pending, u)
	s.client.accepted[u.kind] = true
	if u.kind.wildcard() {
		s.named = true
		if err := s.subscribe(u.kind); err != nil {
			return err
		}
	}
	return s.settle()
}

// maxErrors bounds how many resources a NACK names.
const maxErrors = 3

// merge gives the resources of the kind after the response. What is as before is not translated again.
func (s *session) merge(u *update) (*set, error) {
	if u.err != nil {
		return nil, u.err
	}
	old := s.next[u.kind]
	from := old
	if u.full {
		from = nil
	}
	changes := make([]named, 0, len(u.changes))
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(u.changes)) {
		c := u.changes[name]
		if c.raw == nil {
			changes = append(changes, named{name: name})
			if _, ok := slices.BinarySearch(s.subscribed[u.kind], name); ok {
				s.absent[u.kind][name] = struct{}{}
			}
			continue
		}
		e, err := s.entry(u.kind, name, old.find(name), c)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		changes = append(changes, named{name, e})
		delete(s.absent[u.kind], name)
	}
	if n := len(failed); n > maxErrors {
		failed = append(failed[:maxErrors], fmt.Errorf("and %d more", n-maxErrors))
	}
	list := from.with(changes)
	if len(list) > MaxResources {
		failed = append(failed, fmt.Errorf("%d resources of type %s are too many", len(list), u.kind))
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return newSet(list, old), nil
}

// entry gives a resource that came, the old one if its bytes are the same.
func (s *session) entry(k kind, name string, old *entry, c change) (*entry, error) {
	for _, same := range []*entry{old, s.client.good[k].find(name)} {
		if same != nil && same.raw.TypeUrl == c.raw.TypeUrl && bytes.Equal(same.raw.Value, c.raw.Value) {
			e := *same
			e.version = c.version
			return &e, nil
		}
	}
	var before *resource
	if old != nil {
		before = old.resource
	}
	r, err := translate(k, c.raw, s.logs, before)
	if err != nil {
		return nil, err
	}
	return &entry{resource: r, version: c.version, updated: time.Now()}, nil
}

// missing gives the first, by name, of what is named, not there, and not known to be absent; "" for nothing.
func (s *session) missing() string {
	for _, k := range []kind{kindCluster, kindListener} {
		for name := range s.next[k.names()].lacks(s.next[k].wanted()) {
			if _, absent := s.absent[k.names()][name]; !absent {
				return k.names().String() + " " + name
			}
		}
	}
	return ""
}

// settle applies what is complete, else waits, but not for ever. Nothing is applied before there were clusters and listeners.
func (s *session) settle() error {
	if !s.client.accepted[kindCluster] || !s.client.accepted[kindListener] {
		return s.acceptNamed()
	}
	if first := s.missing(); first != "" {
		if s.failures == 0 && !s.client.waiting(first) {
			s.deadline.Reset(s.client.options.FetchTimeout)
		}
		return s.acceptNamed()
	}
	return s.apply()
}

// acceptNamed acknowledges the endpoints and routes that came while others are missing. A server that has one response of a type
// under way at a time could not send the rest. They come into force with what names them, whose answers are held.
func (s *session) acceptNamed() error {
	var held []*update
	for _, u := range s.pending {
		if u.kind.wildcard() {
			held = append(held, u)
			continue
		}
		s.client.version[u.kind] = u.version
		if err := s.answer(u, nil); err != nil {
			return err
		}
	}
	s.pending = held
	return nil
}

// expire gives up waiting: what is not there by now is absent. Or it tries again what the sink refused.
func (s *session) expire() error {
	for _, k := range []kind{kindCluster, kindListener} {
		for name := range s.next[k.names()].lacks(s.next[k].wanted()) {
			s.client.options.Log.Warn("the control plane does not send what it names", "type", k.names().String(), "name", name)
			s.absent[k.names()][name] = struct{}{}
		}
	}
	return s.apply()
}

// apply puts the state in force, and acknowledges or refuses what it comes from.
func (s *session) apply() error {
	s.deadline.Stop()
	s.client.waiting("")
	pending := s.pending
	s.pending = nil
	if s.named {
		s.next.prune()
	}
	err := s.client.apply(s.next, s.version)
	if err != nil {
		// What was refused stays wanted, and may do later: a port that is taken is free one day.
		s.failures++
		s.deadline.Reset(backOff(s.failures))
		err = fmt.Errorf("apply configuration: %w", err)
		s.client.options.Log.Warn("configuration is refused", "err", err)
	} else {
		s.failures = 0
		for _, u := range pending {
			s.client.version[u.kind] = u.version
		}
	}
	s.client.show(err) // it is so even if nobody is there any more to hear of it
	for _, u := range pending {
		if e := s.answer(u, err); e != nil {
			return e
		}
	}
	if err != nil || !s.named {
		return nil
	}
	s.named = false
	for _, k := range []kind{kindCluster, kindListener} {
		if e := s.subscribe(k); e != nil {
			return e
		}
	}
	return nil
}
