package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/oarlock/oarlock/meshtest"
)

// resolver is the address of the name server of the moment. The process' resolver stays ours: a look-up that is given up
// may still be using it.
var resolver atomic.Value

var resolve = sync.OnceFunc(func() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", resolver.Load().(string))
	}}
})

// A nameServer answers for names that a test sets, and is the process' resolver while the test runs.
type nameServer struct {
	mu    sync.Mutex
	names map[string][]string // nil: SERVFAIL
	asked int
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{names: map[string][]string{}}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); server.ActivateAndServe() }()
	resolve()
	resolver.Store(conn.LocalAddr().String())
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

func (s *nameServer) set(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name+"."] = addresses
}

// ServeDNS answers questions for addresses.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	out := new(dns.Msg)
	out.SetReply(q)
	addresses, ok := s.names[q.Question[0].Name]
	switch {
	case !ok:
		out.Rcode = dns.RcodeNameError
	case addresses == nil:
		out.Rcode = dns.RcodeServerFailure
	}
	for _, a := range addresses {
		ip := netip.MustParseAddr(a)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
		switch {
		case ip.Is4() && head.Rrtype == dns.TypeA:
			out.Answer = append(out.Answer, &dns.A{Hdr: head, A: ip.AsSlice()})
		case ip.Is6() && head.Rrtype == dns.TypeAAAA:
			out.Answer = append(out.Answer, &dns.AAAA{Hdr: head, AAAA: ip.AsSlice()})
		}
	}
	w.WriteMsg(out)
}

// addressesOf are the members of a cluster in force.
func addressesOf(p *Proxy, name string) []string {
	var out []string
	for _, e := range *p.state.Load().clusters[name].members.Load() {
		out = append(out, e.address.String())
	}
	return out
}

func expectMembers(t *testing.T, p *Proxy, want ...string) {
	t.Helper()
	var got []string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if got = addressesOf(p, "c"); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("members %v, want %v", got, want)
}

// A cluster follows its names: what stays goes on, what goes is closed, and where there is no answer the last one holds.
func TestDNSFollows(t *testing.T) {
	meshtest.NoLeaks(t)
	names := newNameServer(t)
	names.set("a.test", "10.0.0.2", "10.0.0.1")
	names.set("six.test", "fd00::1")
	p := New(Options{Capture: Capture{Names: map[string]netip.Addr{"mesh.test": netip.MustParseAddr("127.7.0.1")}}})
	defer p.Close()
	host := func(name string) Endpoint {
		return Endpoint{Host: name, Address: netip.AddrPortFrom(netip.Addr{}, 80)}
	}
	cluster := func(hosts ...Endpoint) *Cluster {
		return &Cluster{Name: "c", Discovery: StrictDNS, DNSRefresh: 10 * time.Millisecond, Endpoints: hosts}
	}
	apply(t, p, cluster(host("a.test")))
	expectMembers(t, p, "10.0.0.1:80", "10.0.0.2:80") // sorted
	first := *p.state.Load().clusters["c"].members.Load()

	names.set("a.test", "10.0.0.3", "10.0.0.1", "10.0.0.1")
	expectMembers(t, p, "10.0.0.1:80", "10.0.0.3:80")
	now := *p.state.Load().clusters["c"].members.Load()
	if now[0] != first[0] || first[0].gone.Load() || !first[1].gone.Load() {
		t.Error("the address that stayed is another endpoint, or the one that went is open")
	}

	names.set("a.test") // SERVFAIL
	time.Sleep(50 * time.Millisecond)
	expectMembers(t, p, "10.0.0.1:80", "10.0.0.3:80")

	apply(t, p, cluster(host("a.test"), host("six.test"), host("mesh.test"), host("10.9.9.9")))
	expectMembers(t, p, "10.0.0.1:80", "10.0.0.3:80", "[fd00::1]:80", "127.7.0.1:80", "10.9.9.9:80")
	if now = *p.state.Load().clusters["c"].members.Load(); now[0] != first[0] {
		t.Error("another name made of the first another endpoint")
	}

	apply(t, p, cluster(host("six.test")))
	expectMembers(t, p, "[fd00::1]:80")
	apply(t, p, &Cluster{Name: "c"})
	expectMembers(t, p)
}

// A cluster whose discovery is logical has one address; a name that nobody knows gives none.
func TestDNSLogical(t *testing.T) {
	meshtest.NoLeaks(t)
	names := newNameServer(t)
	names.set("a.test", "10.0.0.2", "10.0.0.1")
	p := New(Options{})
	defer p.Close()
	apply(t, p, &Cluster{Name: "c", Discovery: LogicalDNS, DNSRefresh: 10 * time.Millisecond, Endpoints: []Endpoint{
		{Host: "a.test", Address: netip.AddrPortFrom(netip.Addr{}, 443)}, {Host: "nobody.test", Address: netip.AddrPortFrom(netip.Addr{}, 443)}}})
	expectMembers(t, p, "10.0.0.1:443")
	names.set("nobody.test", "10.0.0.9")
	expectMembers(t, p, "10.0.0.1:443", "10.0.0.9:443")
}

// A cluster that is gone asks no more.
func TestDNSStops(t *testing.T) {
	meshtest.NoLeaks(t)
	names := newNameServer(t)
	names.set("a.test", "10.0.0.1")
	p := New(Options{})
	defer p.Close()
	apply(t, p, &Cluster{Name: "c", Discovery: StrictDNS, DNSRefresh: time.Millisecond, Endpoints: []Endpoint{{Host: "a.test", Address: netip.AddrPortFrom(netip.Addr{}, 80)}}})
	expectMembers(t, p, "10.0.0.1:80")
	apply(t, p, &Cluster{Name: "d"})
	asked := func() int { names.mu.Lock(); defer names.mu.Unlock(); return names.asked }
	for end := time.Now().Add(30 * time.Second); ; { // what was asked before the end may come late
		before := asked()
		time.Sleep(50 * time.Millisecond)
		if asked() == before {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it is asked long after the end")
		}
	}
}
