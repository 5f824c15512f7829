package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A doorKey tells sockets apart that stand for different things.
type doorKey struct {
	listen netip.AddrPort
	// listener is the name of the Listener that the socket belongs to; "" for a door of Options.Capture.
	listener string
}

// A door is a socket on which connections come in.
type door struct {
	proxy *Proxy
	key   doorKey
	door  Door
	next  *acceptor
	once  sync.Once
}

func (d *door) close() { d.once.Do(func() { d.next.close() }) }

// bind opens what next needs and is not open yet. On an error it closes again what it opened.
func (p *Proxy) bind(next *state) error {
	var opened []*door
	undo := func(err error) error {
		for _, d := range opened {
			d.close()
			delete(p.doors, d.key)
		}
		return err
	}
	for key, want := range p.wanted(next) {
		if p.doors[key] != nil {
			continue
		}
		socket, err := p.listen(key.listen)
		if err != nil {
			return undo(err)
		}
		next, err := newAcceptor(socket)
		if err != nil {
			return undo(err)
		}
		d := &door{proxy: p, key: key, door: want, next: next}
		p.doors[key] = d
		opened = append(opened, d)
	}
	for _, d := range opened {
		p.wg.Add(1)
		go d.accept()
	}
	return nil
}

func (p *Proxy) listen(at netip.AddrPort) (*net.TCPListener, error) {
	lc := net.ListenConfig{Control: listenControl, KeepAlive: acceptKeepAlive}
	l, err := lc.Listen(p.ctx, "tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", at, err)
	}
	return l.(*net.TCPListener), nil
}

// closeDoors closes what next does not need any more. Connections that came in there go on.
func (p *Proxy) closeDoors(next *state) {
	wanted := p.wanted(next)
	for key, d := range p.doors {
		if _, ok := wanted[key]; !ok {
			d.close()
			delete(p.doors, key)
		}
	}
}

// wanted are the sockets of a state: the doors of capture where there is a listener for their direction, and every bound
// listener. With doors, listeners that go by the original destination are reached through them alone: on one machine many
// sidecars have the same.
func (p *Proxy) wanted(s *state) map[doorKey]Door {
	out := map[doorKey]Door{}
	for _, d := range p.opt.Capture.Doors {
		if s.behind(d.Direction) != nil {
			out[doorKey{listen: d.Listen}] = d
		}
	}
	for _, l := range s.listeners {
		if !l.Bind || l.OriginalDst && len(p.opt.Capture.Doors) > 0 {
			continue
		}
		at := l.Address
		if at.Addr().IsUnspecified() && p.opt.Capture.Source.IsValid() {
			at = netip.AddrPortFrom(p.opt.Capture.Source, at.Port())
		}
		out[doorKey{listen: at, listener: l.Name}] = Door{Listen: at, Direction: l.Direction}
	}
	return out
}

func (s *state) behind(d Direction) *listener {
	if d == Inbound {
		return s.inbound
	}
	return s.outbound
}

// accept hands each connection to the crew, until the door is closed.
func (d *door) accept() {
	defer d.proxy.wg.Done()
	for pause := time.Duration(0); ; {
		c, err := d.next.accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of file descriptors, most often: wait, or the loop burns a core and nobody gets one back.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			d.proxy.log.Warn("accept connection", "listen", d.key.listen, "err", err, "again_in", pause)
			select {
			case <-time.After(pause):
				continue
			case <-d.proxy.ctx.Done():
				return
			}
		}
		pause = 0
		if !d.admit() {
			c.Close()
			continue
		}
		d.proxy.crew.serve(task{c, d})
	}
}

// listener is where connections of the door belong, unless their destination has a listener of its own. nil: it is gone.
func (d *door) listener(st *state) *listener {
	if d.key.listener != "" {
		return st.named(d.key.listener)
	}
	return st.behind(d.door.Direction)
}

// admit takes one of the places for connections.
func (d *door) admit() bool {
	p := d.proxy
	if p.open64.Add(1) <= int64(p.opt.MaxConnections) {
		return true
	}
	p.open64.Add(-1)
	if l := d.listener(p.state.Load()); l != nil {
		l.stats.overflow()
	}
	return false
}

func (d *door) serve(c tcpConn) {
	d.proxy.serve(c, d)
	c.Close()
	d.proxy.open64.Add(-1)
}
