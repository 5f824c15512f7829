package proxy

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a cluster without sockets: its connections are pipes.
type crowd struct {
	core      *clusterCore
	endpoints []*endpoint
}

func newCrowd(t *testing.T, limit uint32, endpoints int) *crowd {
	t.Helper()
	core, err := New(Options{}).newCore(&Cluster{Name: "c", Limits: Limits{Connections: limit}})
	if err != nil {
		t.Fatal(err)
	}
	out := &crowd{core: core}
	for i := range numbered(endpoints, nil) {
		out.endpoints = append(out.endpoints, newEndpoint(core, &Endpoint{}, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i+1))))
	}
	return out
}

// connect makes a connection for which a place was reserved.
func (c *crowd) connect(e *endpoint, kind alpnKind) *upConn {
	conn, _ := net.Pipe()
	c.core.stats.Active.Add(1)
	e.active.Add(1)
	e.busy.Add(1)
	return newUpConn(&upstream{conn: conn, endpoint: e, pooled: true, kind: kind}, kind)
}

// obtain does what an exchange does; nil where the wait was too long.
func (c *crowd) obtain(e *endpoint, kind alpnKind, patience time.Duration) *upConn {
	if conn := e.pool.get(kind); conn != nil {
		return conn
	}
	if c.core.queue.length.Load() > 0 || !c.core.reserve(e.pool, kind) {
		w := c.core.enter(lineKey{e.pool, kind})
		select {
		case conn := <-w.got:
			if conn != nil {
				return conn
			}
		case <-time.After(patience):
			c.core.leave(w)
			return nil
		}
	}
	return c.connect(e, kind)
}

// empty says what is still taken when nobody is there any more.
func (c *crowd) empty(t *testing.T) {
	t.Helper()
	for _, e := range c.endpoints {
		e.close()
		for kind := range e.pool.open {
			if open, wanted := e.pool.open[kind].Load(), e.pool.wanted[kind].Load(); open != 0 || wanted != 0 {
				t.Errorf("endpoint %v: %d connections, %d waiting", e.address, open, wanted)
			}
		}
	}
	q := &c.core.queue
	if n := c.core.connections.Load(); n != 0 || q.length.Load() != 0 || q.all.Len() != 0 || len(q.lines) != 0 {
		t.Errorf("%d connections, %d waiting, %d in the list, %d lines", n, q.length.Load(), q.all.Len(), len(q.lines))
	}
}

// Whatever is returned, closed, waited for in vain and taken by connections of other kinds: everybody who waits long enough
// is served, and there are never more connections than the limit and one for each pool. A lost wake-up shows as a request
// without a connection after a time in which all others are long done.
func TestQueueServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, each, workers = 3, 60, 80
		c := newCrowd(t, limit, 3)
		var most, open, served, gaveUp atomic.Int64
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range each {
					e, kind := c.endpoints[rand.IntN(len(c.endpoints))], alpnKind(rand.IntN(int(alpnHTTP10)))
					patience := time.Hour
					if rand.IntN(4) == 0 {
						patience = time.Duration(rand.IntN(30)) * time.Millisecond
					}
					conn := c.obtain(e, kind, patience)
					if conn == nil {
						if patience == time.Hour {
							t.Error("a request was forgotten")
						}
						gaveUp.Add(1)
						continue
					}
					served.Add(1)
					if n := open.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
					open.Add(-1)
					switch rand.IntN(5) {
					case 0:
						conn.close()
					default:
						e.pool.put(conn, time.Now())
					}
				}
			})
		}
		wg.Go(func() { // a stream of bytes takes places and gives them back, and never waits
			for range 2000 {
				if c.core.take() {
					time.Sleep(time.Millisecond)
					c.core.connections.Add(-1)
					c.core.serve(lineKey{})
				}
				time.Sleep(time.Millisecond)
			}
		})
		wg.Wait()
		if n := most.Load(); n > limit+6 || n < limit {
			t.Errorf("%d requests at once, of a limit of %d and six pools", n, limit)
		}
		if served.Load()+gaveUp.Load() != workers*each || gaveUp.Load() == 0 || served.Load() < workers*each/2 {
			t.Errorf("%d served, %d gave up, of %d", served.Load(), gaveUp.Load(), workers*each)
		}
		c.empty(t)
	})
}

// The same without a clock that waits for everybody, for the race detector.
func TestQueueRaces(t *testing.T) {
	c := newCrowd(t, 2, 2)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 500 {
				e := c.endpoints[rand.IntN(2)]
				conn := c.obtain(e, alpnOwn, []time.Duration{time.Minute, time.Minute, time.Microsecond}[rand.IntN(3)])
				switch {
				case conn == nil:
				case rand.IntN(3) == 0:
					conn.close()
				default:
					e.pool.put(conn, time.Now())
				}
			}
		})
	}
	wg.Wait()
	c.empty(t)
}

// Who came first is served first: by a connection that comes back, by one that was closed, and also where one in between
// went away. Nobody who comes later takes a connection out of the pool.
func TestQueueOrder(t *testing.T) {
	c := newCrowd(t, 1, 2)
	a, b := c.endpoints[0], c.endpoints[1]
	conn := c.obtain(a, alpnOwn, 0)
	other := c.obtain(b, alpnOwn, 0) // above the limit: its pool has none
	var ws []*waiter
	for _, e := range []*endpoint{a, a, b, a} {
		ws = append(ws, c.core.enter(lineKey{e.pool, alpnOwn}))
	}
	c.core.leave(ws[1])
	a.pool.put(conn, time.Now())
	if got := <-ws[0].got; got != conn {
		t.Fatal("the first did not get the connection that came back")
	}
	if a.pool.get(alpnOwn) != nil {
		t.Error("a request that came later was served")
	}
	conn.close() // the limit is taken still by the other, but this pool has none now
	if got := <-ws[3].got; got != nil {
		t.Error("a connection out of nowhere")
	}
	a.pool.put(c.connect(a, alpnOwn), time.Now())
	other.close()
	if got := <-ws[2].got; got != nil {
		t.Error("a connection out of nowhere")
	}
	c.core.giveBack(ws[2], nil)
	c.empty(t)
}

// A place that was closed for one endpoint is for whoever waits, also of another.
func TestQueueAcrossEndpoints(t *testing.T) {
	c := newCrowd(t, 2, 2)
	a, b := c.endpoints[0], c.endpoints[1]
	first, second := c.obtain(a, alpnOwn, 0), c.obtain(b, alpnOwn, 0)
	w := c.core.enter(lineKey{b.pool, alpnOwn})
	first.close()
	select {
	case conn := <-w.got:
		if conn != nil {
			t.Error("a connection of another endpoint")
		}
	default:
		t.Fatal("a place is free and one waits")
	}
	// What was granted to one who leaves goes on to the next.
	next := c.core.enter(lineKey{a.pool, alpnHTTP11})
	<-next.got
	third := c.core.enter(lineKey{b.pool, alpnOwn})
	w.got <- nil
	c.core.leave(w)
	c.core.unreserve(a.pool, alpnHTTP11)
	select {
	case <-third.got:
		c.core.unreserve(b.pool, alpnOwn)
	default:
		t.Error("what one left did not go to the next")
	}
	second.close()
	c.empty(t)
}
