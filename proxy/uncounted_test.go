package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
	"github.com/oarlock/oarlock/svid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// proberAt is an address whose connections are not counted; callerAt is one of the others.
var proberAt, callerAt = netip.MustParseAddr("127.66.0.1"), netip.MustParseAddr("127.66.1.1")

// dialFrom connects from an address of loopback.
func dialFrom(t *testing.T, from netip.Addr, to netip.AddrPort) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}).Dial("tcp", to.String())
	if err != nil {
		t.Skipf("no connection from %s, as on systems whose loopback has one address: %v", from, err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

// uncountedProxy is a server's sidecar, permissive HTTP on one port, strict TCP on another.
func uncountedProxy(t *testing.T) (web, bytes netip.AddrPort, id *svid.Source, stats *metrics.Registry, logs *meshtest.Buffer) {
	t.Helper()
	authority := meshtest.NewCA(t, nil, 0)
	web, bytes, stats = freePort(t), freePort(t), metrics.NewRegistry(metrics.Peer{Workload: "api", Namespace: "shop"}, metrics.Options{})
	backend := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	manager := &proxy.HTTPManager{Table: everywhere("web", nil), AccessLog: logged, PeerExchange: true}
	in := &proxy.Listener{Name: "web", Direction: proxy.Inbound, Address: web, Bind: true, AccessLog: logged, InspectTLS: proxy.Ports{On: true},
		Chains: []*proxy.FilterChain{
			{Name: "mtls", Match: proxy.ChainMatch{Transport: proxy.TransportTLS}, TLS: serverTLS(), HTTP: manager},
			{Name: "raw", Match: proxy.ChainMatch{Transport: proxy.TransportRaw}, HTTP: manager},
		}}
	_, logs = start(t, proxy.Options{
		Identity: identity(t, authority, "shop", "api"), Self: proxy.Peer{Workload: "api", Namespace: "shop"}, Series: stats,
		Capture: proxy.Capture{Uncounted: []netip.Prefix{netip.MustParsePrefix("127.66.0.0/24")}},
	}, &proxy.Config{Listeners: []*proxy.Listener{in, inbound("STRICT", bytes)},
		Clusters: []*proxy.Cluster{static("web", backend, nil), static("inbound|80||", echo(t), nil)}})
	return web, bytes, identity(t, authority, "front", "web"), stats, logs
}

// everyCall does all that a prober does, and what else may be counted: requests in plaintext and over mTLS, one that is
// none, HTTP/2, bytes, and handshakes that fail in two ways.
func everyCall(t *testing.T, from netip.Addr, web, bytes netip.AddrPort, id *svid.Source) {
	t.Helper()
	request := "GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"
	expect := func(what string, c net.Conn, send, want string) {
		t.Helper()
		io.WriteString(c, send)
		if got, _ := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(got, want) {
			t.Errorf("%s from %s: got %q, want %q", what, from, got, want)
		}
		c.Close()
	}
	mtls := func() net.Conn {
		return tls.Client(dialFrom(t, from, web), id.ClientConfig(spiffeid.MatchAny()))
	}
	expect("plaintext", dialFrom(t, from, web), request, "HTTP/1.1 200")
	expect("mTLS", mtls(), request, "HTTP/1.1 200")
	expect("a bad request", dialFrom(t, from, web), "nonsense\r\n\r\n", "HTTP/1.1 400")
	expect("HTTP/2", dialFrom(t, from, web), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 ") // of a server that does not speak it
	expect("bytes", tls.Client(dialFrom(t, from, bytes), id.ClientConfig(spiffeid.MatchAny())), "ahoy\n", "ahoy")
	expect("plaintext to STRICT", dialFrom(t, from, bytes), "ahoy\n", "")
	stranger := tls.Client(dialFrom(t, from, bytes), &tls.Config{InsecureSkipVerify: true})
	expect("TLS without a certificate", stranger, "ahoy\n", "")
}

// trafficSeries are those that say who called whom.
func trafficSeries(stats *metrics.Registry) []string {
	var out []string
	for _, name := range []string{"istio_", "oarlock_"} {
		for _, line := range series(stats, name) {
			if strings.Contains(line, `reporter="`) {
				out = append(out, line)
			}
		}
	}
	return out
}

// TestUncounted holds that a prober's connections are carried as others are and leave no trace in the series of traffic
// and in the access log, that listeners count them all the same, and that another caller's are counted.
func TestUncounted(t *testing.T) {
	web, bytes, id, stats, logs := uncountedProxy(t)
	everyCall(t, proberAt, web, bytes, id)
	eventually(t, "the listeners have counted what came", func() bool {
		return len(series(stats, "envoy_listener_no_filter_chain_match", "} 1")) == 1 && len(series(stats, "envoy_listener_ssl_fail_verify_no_cert", "} 1")) == 1 &&
			len(series(stats, "envoy_listener_downstream_cx_active", "} 0")) == 2
	})
	if got := trafficSeries(stats); len(got) > 0 {
		t.Errorf("a prober is counted:\n%s", strings.Join(got, "\n"))
	}
	if logs.String() != "" {
		t.Errorf("a prober is logged:\n%s", logs)
	}

	everyCall(t, callerAt, web, bytes, id)
	eventually(t, "another caller is logged", func() bool { return strings.Count(logs.String(), "\n") == 7 })
	for _, want := range [][]string{
		{"istio_requests_total", `connection_security_policy="none"`, `response_code="200"`, "} 1"},
		{"oarlock_requests_total", `security="mutual_tls"`, "} 1"},
		{"istio_requests_total", `response_code="400"`, "} 1"},
		{"oarlock_tcp_connections_opened_total", `security="none"`, "} 1"},
		{"istio_tcp_connections_opened_total", `connection_security_policy="mutual_tls"`, "} 1"},
		{"oarlock_handshake_failures_total", `cause="` + metrics.CausePlaintextToTLS + `"`, "} 1"},
		{"oarlock_handshake_failures_total", `cause="` + metrics.CauseNoClientCertificate + `"`, "} 1"},
	} {
		eventually(t, strings.Join(want, " "), func() bool { return len(series(stats, want...)) == 1 })
	}
}
