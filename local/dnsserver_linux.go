package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// nameTTL is short: addresses of headless services come and go.
	nameTTL = 5
	// upstreamTimeout is for one server.
	upstreamTimeout = 2 * time.Second
	// maxForwarded is how many questions may be with upstream servers at a time; more are answered SERVFAIL.
	maxForwarded = 64
)

// A nameServer answers the pods' DNS questions.
type nameServer struct {
	names    *Names
	domain   string
	upstream []netip.AddrPort
	// dial reaches upstream servers; nil knows none.
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	asker func(netip.Addr) asker
	log   *slog.Logger

	slots   chan struct{}
	servers []*dns.Server
	running sync.WaitGroup
}

// start serves on two sockets, which it then owns.
func (s *nameServer) start(packets net.PacketConn, streams net.Listener) {
	s.slots = make(chan struct{}, maxForwarded)
	s.servers = []*dns.Server{
		{PacketConn: packets, Handler: s},
		{Listener: streams, Handler: s, IdleTimeout: func() time.Duration { return 5 * time.Second }, ReadTimeout: 5 * time.Second},
	}
	for _, server := range s.servers {
		up := make(chan struct{})
		server.NotifyStartedFunc = sync.OnceFunc(func() { close(up) })
		s.running.Go(func() {
			if err := server.ActivateAndServe(); err != nil {
				s.log.Error("serve DNS", "error", err)
			}
		})
		<-up // Shutdown of a server that has not started does nothing
	}
}

func (s *nameServer) close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown())
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// ServeDNS answers one question.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		s.reply(w, new(dns.Msg).SetRcode(q, dns.RcodeNotImplemented))
		return
	}
	from := s.asker(remoteAddr(w.RemoteAddr()))
	if addrs, ok := s.names.lookup(q.Question[0].Name, from, s.domain); ok {
		m := answer(q, addrs)
		if w.RemoteAddr().Network() == "udp" {
			m.Truncate(datagramSize(q)) // who wants them all asks again over TCP
		}
		s.reply(w, m)
		return
	}
	if s.ours(q.Question[0].Name) {
		s.reply(w, new(dns.Msg).SetRcode(q, dns.RcodeNameError))
		return
	}
	s.reply(w, s.forward(q, w.RemoteAddr().Network()))
}

// ours says whether nobody else can know a name: one in the mesh's domain, or one without a dot.
func (s *nameServer) ours(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return !strings.Contains(name, ".") || name == s.domain || strings.HasSuffix(name, "."+s.domain)
}

func (s *nameServer) reply(w dns.ResponseWriter, m *dns.Msg) {
	if err := w.WriteMsg(m); err != nil {
		s.log.Debug("answer DNS question", "error", err)
	}
}

func datagramSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return max(dns.MinMsgSize, int(opt.UDPSize()))
	}
	return dns.MinMsgSize
}

// answer has A records only: the mesh has no IPv6, and a name without AAAA records is no error.
func answer(q *dns.Msg, addrs []netip.Addr) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	if t := q.Question[0].Qtype; t != dns.TypeA && t != dns.TypeANY {
		return m
	}
	for _, a := range addrs {
		if a.Is4() {
			header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: nameTTL}
			m.Answer = append(m.Answer, &dns.A{Hdr: header, A: a.AsSlice()})
		}
	}
	return m
}

// forward asks the upstream servers in turn.
func (s *nameServer) forward(q *dns.Msg, network string) *dns.Msg {
	if s.dial == nil || len(s.upstream) == 0 {
		return new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	for _, server := range s.upstream {
		m, err := s.exchange(q, network, server)
		if err == nil {
			return m
		}
		s.log.Debug("forward DNS question", "server", server, "error", err)
	}
	return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
}

func (s *nameServer) exchange(q *dns.Msg, network string, server netip.AddrPort) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(context.Background(), upstreamTimeout)
	defer cancel()
	c, err := s.dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	client := &dns.Client{Net: network, Timeout: upstreamTimeout}
	m, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: c})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	return m, nil
}

func remoteAddr(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
