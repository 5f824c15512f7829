package proxy_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/proxy"
)

var update = flag.Bool("update", false, "write what was seen into testdata/http")

// A wireCase is one file of testdata/http: what a client sends and a server answers, and what becomes of both on the way.
// Bytes are written as in a Go string, one line for each line feed.
type wireCase struct {
	name     string
	options  []string // lines that begin with "option"
	sections map[string]string
}

// wireSections are in the order of the file. The last three are what is expected.
var wireSections = []string{"client", "server", "upstream", "answer", "log"}

func readWireCase(t *testing.T, file string) *wireCase {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &wireCase{name: strings.TrimSuffix(filepath.Base(file), ".txt"), sections: map[string]string{}}
	section := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		switch text, in := strings.CutPrefix(line, "  "); {
		case in:
			s, err := strconv.Unquote(`"` + text + `"`)
			if err != nil {
				t.Fatalf("%s: line %q: %v", file, line, err)
			}
			c.sections[section] += s
		case strings.HasPrefix(line, "option "):
			c.options = append(c.options, strings.TrimPrefix(line, "option "))
		case line != "" && !strings.HasPrefix(line, "#"):
			section = line
		}
	}
	return c
}

// write puts the case into its file, with what was seen in place of what was expected.
func (c *wireCase) write(file string) error {
	var b bytes.Buffer
	for _, o := range c.options {
		fmt.Fprintf(&b, "option %s\n", o)
	}
	for _, s := range wireSections {
		fmt.Fprintln(&b, s)
		for line := range strings.SplitAfterSeq(c.sections[s], "\n") {
			if line != "" {
				q := strconv.Quote(line)
				fmt.Fprintln(&b, "  "+q[1:len(q)-1])
			}
		}
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// What differs from run to run.
var fleeting = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`date: [^\r]*`), "date: DATE"},
	{regexp.MustCompile(`x-request-id: [0-9a-f-]{36}`), "x-request-id: UUID"},
	{regexp.MustCompile(`service-time: \d+`), "service-time: N"},
}

func settled(s string) string {
	for _, f := range fleeting {
		s = f.pattern.ReplaceAllString(s, f.instead)
	}
	return s
}

// A scriptedServer answers every request alike and keeps what it was sent.
type scriptedServer struct {
	mu     sync.Mutex
	seen   bytes.Buffer
	answer string
	once   bool
}

func (s *scriptedServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

func (s *scriptedServer) serve(_ int, c net.Conn) {
	r := bufio.NewReader(io.TeeReader(c, s))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(c, s.answer)
		if s.once {
			return
		}
	}
}

var wireLog = func() *accesslog.Format {
	f, err := accesslog.ParseText("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% received %BYTES_RECEIVED% sent %BYTES_SENT% %PROTOCOL% %REQ(:METHOD)% %REQ(:AUTHORITY)% \"%REQ(:PATH)%\" %UPSTREAM_CLUSTER% %ROUTE_NAME%\n")
	if err != nil {
		panic(err)
	}
	return f
}()

// run carries the case through a proxy and puts what was seen into the sections.
func (c *wireCase) run(t *testing.T) {
	s := &scriptedServer{answer: c.sections["server"]}
	at, p, logs := plainProxy(t, scripted(t, s.serve), func(m *proxy.HTTPManager, r *proxy.Route, _ *proxy.Cluster) {
		m.AccessLog = []proxy.AccessLog{{Path: "/dev/stdout", Format: wireLog}}
		for _, o := range c.options {
			c.apply(t, o, m, r)
		}
	})
	for _, o := range c.options {
		s.once = s.once || o == "server closes"
	}
	client := dial(t, at).(*net.TCPConn)
	client.SetDeadline(time.Now().Add(30 * time.Second))
	go func() { io.WriteString(client, c.sections["client"]); client.CloseWrite() }()
	answer, _ := io.ReadAll(client) // it may be reset behind an answer
	c.sections["answer"] = settled(string(answer))
	p.Close() // the log is written
	s.mu.Lock()
	defer s.mu.Unlock()
	c.sections["upstream"], c.sections["log"] = settled(s.seen.String()), logs.String()
}

func (c *wireCase) apply(t *testing.T, option string, m *proxy.HTTPManager, r *proxy.Route) {
	switch option {
	case "edge":
		m.RemoteAddress = true
	case "pass server":
		m.PassServerName = true
	case "rewrite":
		r.Match.Prefix, r.PrefixRewrite, r.HostRewrite = "/old", "/new", "rewritten.example.org"
	case "headers":
		r.SetRequest = []proxy.Header{{Name: "x-set", Value: "new"}, {Name: "x-add", Value: "more", Append: true}}
		r.RemoveRequest = []string{"X-Gone"}
		r.SetResponse = []proxy.Header{{Name: "x-from", Value: "route"}}
		r.RemoveResponse = []string{"x-powered-by"}
	case "redirect":
		r.Redirect = &proxy.Redirect{Scheme: "https", Status: 308}
	case "direct":
		r.Direct = &proxy.DirectResponse{Status: 418, Body: "short and stout"}
	case "server closes":
	default:
		t.Fatalf("%s: no option %q", c.name, option)
	}
}

// TestWire runs the cases of testdata/http. -update writes what was seen into them, to be read with care.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/http/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, got := readWireCase(t, file), readWireCase(t, file)
			got.run(t)
			if *update {
				if err := got.write(file); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, s := range wireSections[2:] {
				if got.sections[s] != want.sections[s] {
					t.Errorf("%s is\n%s\nwant\n%s", s, got.sections[s], want.sections[s])
				}
			}
		})
	}
}
