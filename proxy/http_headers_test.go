package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/proxy"
)

// headersSeen sends one request through a proxy and gives the headers that the server sees, and the response.
func headersSeen(t *testing.T, request string, change func(*proxy.HTTPManager, *proxy.Route, *proxy.Cluster)) (http.Header, string, string) {
	t.Helper()
	type got struct {
		header http.Header
		host   string
	}
	seen := make(chan got, 1)
	at, _, _ := plainProxy(t, scripted(t, func(_ int, c net.Conn) {
		r, _, err := readRequest(c)
		if err != nil {
			return
		}
		seen <- got{r.Header, r.Host}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: app\r\nX-App: 1\r\nX-Envoy-Upstream-Service-Time: 99\r\nContent-Length: 0\r\n\r\n")
	}), change)
	response := raw(t, at, request)
	g := <-seen
	return g.header, g.host, response
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name, request string
		change        func(*proxy.HTTPManager, *proxy.Route, *proxy.Cluster)
		want          map[string]string // "" is absent; "*" is anything
		host          string
		response      []string // with "!" before what must not be there
	}{
		{"as a sidecar", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Client-Cert: forged\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nConnection: close\r\nx-envoy-attempt-count: 9\r\n\r\n", nil,
			map[string]string{"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Client-Cert": "", "Keep-Alive": "", "Te": "trailers", "Proxy-Connection": "", "X-Forwarded-Proto": "http", "X-Request-Id": "*", "X-Envoy-Attempt-Count": "1"}, "a",
			[]string{"server: oarlock\r\n", "X-App: 1\r\n", "date: ", "x-envoy-upstream-service-time: ", "!99", "!Server: app"}},
		{"as an edge", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n",
			func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) {
				m.RemoteAddress, m.PassServerName = true, true
			},
			map[string]string{"X-Forwarded-For": "1.2.3.4,127.0.0.1", "X-Forwarded-Proto": "http", "X-Request-Id": "mine"}, "a", []string{"Server: app\r\n", "!server: oarlock"}},
		{"absolute form", "GET http://b:81/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", nil, nil, "b:81", nil},
		{"rewritten", "GET / HTTP/1.1\r\nHost: a\r\nX-Gone: 1\r\nX-Set: old\r\nX-Add: one\r\nConnection: close\r\n\r\n",
			func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
				r.HostRewrite = "c"
				r.RemoveRequest = []string{"x-gone"}
				r.SetRequest = []proxy.Header{{Name: "X-Set", Value: "new"}, {Name: "X-Add", Value: "two", Append: true}}
				r.RemoveResponse = []string{"x-app"}
				r.SetResponse = []proxy.Header{{Name: "X-More", Value: "m"}}
			}, map[string]string{"X-Gone": "", "X-Set": "new", "X-Add": "one|two"}, "c", []string{"!X-App", "X-More: m\r\n"}},
		{"forward only", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: forged\r\nConnection: close\r\n\r\n",
			func(m *proxy.HTTPManager, _ *proxy.Route, _ *proxy.Cluster) {
				m.ClientCert = proxy.ClientCertForwardOnly
			},
			map[string]string{"X-Forwarded-Client-Cert": ""}, "a", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			header, host, response := headersSeen(t, c.request, c.change)
			for name, want := range c.want {
				if got := strings.Join(header[name], "|"); got != want && (want != "*" || got == "") {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if host != c.host {
				t.Errorf("host is %q, want %q", host, c.host)
			}
			for _, want := range c.response {
				text, not := strings.CutPrefix(want, "!")
				if strings.Contains(response, text) == not {
					t.Errorf("response %q, want %q", response, want)
				}
			}
		})
	}
}

// TestCircuitBreaker lets one request in at a time.
func TestCircuitBreaker(t *testing.T) {
	begun, hold := make(chan struct{}), make(chan struct{})
	at, _, logs := plainProxy(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { close(begun); <-hold }), func(_ *proxy.HTTPManager, _ *proxy.Route, c *proxy.Cluster) {
		c.Limits.Requests = 1
	})
	first := make(chan string)
	go func() { first <- raw(t, at, simple) }()
	<-begun
	got := raw(t, at, strings.Replace(simple, "GET /", "GET /second", 1))
	if !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "\r\nx-envoy-overloaded: true\r\n") || !strings.HasSuffix(got, "reset reason: overflow") {
		t.Errorf("%q", got)
	}
	close(hold)
	if got := <-first; !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("the first got %q", got)
	}
	if e := logLine(t, logs, "/second", "503"); e.Flags.String() != "UO" || e.CodeDetails != "upstream_reset_before_response_started{overflow}" {
		t.Errorf("logged %s %s", e.Flags, e.CodeDetails)
	}
}

// TestPool counts the connections that requests take.
func TestPool(t *testing.T) {
	for most, want := range map[uint32]int{0: 1, 1: 6, 2: 3} {
		conns := make(chan int, 10)
		at, _, _ := plainProxy(t, scripted(t, func(n int, c net.Conn) {
			conns <- n
			r := bufio.NewReader(c)
			for {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world")
			}
		}), func(_ *proxy.HTTPManager, _ *proxy.Route, c *proxy.Cluster) { c.MaxRequestsPerConnection = most })
		q := newQuickClient(t, at)
		for range 6 {
			q.do(t)
		}
		if len(conns) != want {
			t.Errorf("at most %d requests each: %d connections for 6, want %d", most, len(conns), want)
		}
	}
}

// TestRetryThenNothing throws a response away, and then there is nobody to ask again.
func TestRetryThenNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		readRequest(c)
		l.Close()
		io.WriteString(c, "HTTP/1.1 503 X\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
	}()
	at, _, logs := plainProxy(t, netip.MustParseAddrPort(l.Addr().String()), func(_ *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
		r.Retry = &proxy.RetryPolicy{On: proxy.Retry5xx, Attempts: 1, Backoff: time.Millisecond}
	})
	if code, body := status(t, raw(t, at, simple)); code != 503 || !strings.HasSuffix(body, "connection failure") {
		t.Errorf("%d %q", code, body)
	}
	if e := logLine(t, logs, "GET"); e.Flags.String() != "UF,URX" || e.UpstreamAttempts != 0 && e.UpstreamAttempts != 2 {
		t.Errorf("logged %s after %d attempts", e.Flags, e.UpstreamAttempts)
	}
}

// TestTLSFailureIsNamed asks a server for TLS that speaks plaintext, and one in plaintext that wants TLS.
func TestTLSFailureIsNamed(t *testing.T) {
	at, _, logs := plainProxy(t, serveHTTP(t, func(http.ResponseWriter, *http.Request) {}), func(_ *proxy.HTTPManager, _ *proxy.Route, c *proxy.Cluster) {
		c.TLS = &proxy.ClientTLS{}
	})
	code, body := status(t, raw(t, at, simple))
	if want := "reset reason: connection failure, transport failure reason: TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"; code != 503 || !strings.HasSuffix(body, want) {
		t.Errorf("%d %q, want %q", code, body, want)
	}
	e := logLine(t, logs, "GET")
	if e.Flags.String() != "UF" || !strings.Contains(e.UpstreamTransportFailure, "WRONG_VERSION_NUMBER") || strings.Contains(e.CodeDetails, " ") {
		t.Errorf("logged %s %q %q", e.Flags, e.UpstreamTransportFailure, e.CodeDetails)
	}
}
