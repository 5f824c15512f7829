package demoapp

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says what the application does. The zero Config stays up and does nothing.
type Config struct {
	Service string // what it calls itself; default $SERVICE_NAME, else $OARLOCK_WORKLOAD, else what Pod is a replica of
	Version string // default $VERSION
	Pod     string // default $POD_NAME, else $HOSTNAME, else the host's name
	Bind    string // address that it listens on; default $BIND_ADDR, else every address

	Listens []Listen
	Calls   []Target

	Rate      float64       // how often per second it makes all calls by itself; 0 is never
	Latency   time.Duration // before each answer
	ErrorRate float64       // share of requests that are answered with an error, from 0 to 1
	Body      int           // bytes added to an answer over HTTP, and those of what is sent over TCP, UDP and gRPC
	TCPConns  int           // long-lived connections kept to each tcp or tls target; 0 makes a new one for each call
	Timeout   time.Duration // of one call; default 5 s

	Certificate, Key string // files, for https and tls
	CA               string // file with the authorities of servers that are called; "" verifies nobody

	Grace time.Duration // how long the end may take; default 5 s, negative not at all
	Log   *slog.Logger  // default: nowhere
	Env   func(name string) (string, bool)
}

// The defaults of Config.
const (
	DefaultGrace   = 5 * time.Second
	DefaultTimeout = 5 * time.Second
)

// withDefaults fills in what is not set, and says what makes no sense.
func (c Config) withDefaults() (Config, error) {
	if c.Env == nil {
		c.Env = os.LookupEnv
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	c.Pod = c.or(c.Pod, "POD_NAME", c.or("", "HOSTNAME", host))
	c.Service = c.or(c.Service, "SERVICE_NAME", c.or("", "OARLOCK_WORKLOAD", workload(c.Pod)))
	c.Version = c.or(c.Version, "VERSION", "")
	c.Bind = c.or(c.Bind, "BIND_ADDR", "")
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return c, c.check()
}

// workload takes off a pod's name what a Deployment puts behind its own: the hash of the ReplicaSet, and five characters.
// Both are of an alphabet without vowels, which a name that a person chose seldom keeps to.
func workload(pod string) string {
	parts := strings.Split(pod, "-")
	n := len(parts)
	random := func(s string, least, most int) bool {
		return len(s) >= least && len(s) <= most && strings.Trim(s, "bcdfghjklmnpqrstvwxz2456789") == ""
	}
	if n < 3 || !random(parts[n-1], 5, 5) || !random(parts[n-2], 6, 10) {
		return pod
	}
	return strings.Join(parts[:n-2], "-")
}

func (c *Config) or(value, name, def string) string {
	if value != "" {
		return value
	}
	if v, ok := c.Env(name); ok && v != "" {
		return v
	}
	return def
}

// The most that is taken of what costs memory.
const (
	maxBody     = 64 << 20
	maxTCPConns = 10_000
	maxRate     = 100_000
)

func (c *Config) check() error {
	switch {
	case c.Bind != "" && net.ParseIP(c.Bind) == nil:
		return fmt.Errorf("bind to %q: want an IP address", c.Bind)
	case math.IsNaN(c.Rate) || c.Rate < 0 || c.Rate > maxRate:
		return fmt.Errorf("call at rate %v: want 0 to %d per second", c.Rate, maxRate)
	case math.IsNaN(c.ErrorRate) || c.ErrorRate < 0 || c.ErrorRate > 1:
		return fmt.Errorf("answer with error rate %v: want 0 to 1", c.ErrorRate)
	case c.Body < 0 || c.Body > maxBody:
		return fmt.Errorf("send body of %d bytes: want 0 to %d", c.Body, maxBody)
	case c.TCPConns < 0 || c.TCPConns > maxTCPConns:
		return fmt.Errorf("keep %d connections: want 0 to %d", c.TCPConns, maxTCPConns)
	case c.Latency < 0:
		return fmt.Errorf("answer after %v: want no negative duration", c.Latency)
	}
	for _, l := range c.Listens {
		if l.secure() && (c.Certificate == "" || c.Key == "") {
			return fmt.Errorf("listen on %s: it needs a certificate and its key", l)
		}
	}
	if c.Rate > 0 && len(c.Calls) == 0 {
		return fmt.Errorf("call at rate %v: nothing to call", c.Rate)
	}
	return nil
}

// Listen is one port that the application serves.
type Listen struct {
	Protocol string // http, https, tcp, tls, grpc or udp
	Port     uint16 // 0 lets the system choose
}

// Protocols lists what ParseListen takes.
func Protocols() []string { return []string{"http", "https", "tcp", "tls", "grpc", "udp"} }

// ParseListen reads PROTOCOL:PORT, such as http:8080.
func ParseListen(s string) (Listen, error) {
	protocol, number, found := strings.Cut(s, ":")
	port, err := strconv.ParseUint(number, 10, 16)
	if !found || err != nil || !slices.Contains(Protocols(), protocol) {
		return Listen{}, fmt.Errorf("parse listener %q: want PROTOCOL:PORT, with one of %s", s, strings.Join(Protocols(), ", "))
	}
	return Listen{protocol, uint16(port)}, nil
}

// String gives what ParseListen reads.
func (l Listen) String() string { return l.Protocol + ":" + strconv.Itoa(int(l.Port)) }

func (l Listen) secure() bool { return l.Protocol == "https" || l.Protocol == "tls" }

// Target is somebody to call.
type Target struct {
	Protocol string // as in Listen
	Host     string // a Service's name, any other name, or an address
	Port     uint16
	Path     string // of http and https; "/" where nothing is said
	text     string
}

// ParseTarget reads HOST:PORT, HOST:PORT/PATH or PROTOCOL://HOST[:PORT][/PATH]. Without a protocol it is http, or https on
// port 443; http and https know their ports.
func ParseTarget(s string) (Target, error) {
	bad := func() (Target, error) {
		return Target{}, fmt.Errorf("parse target %q: want HOST:PORT[/PATH], or a URL with one of %s", s, strings.Join(Protocols(), ", "))
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "//" + s
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "" && !slices.Contains(Protocols(), u.Scheme) {
		return bad()
	}
	t := Target{Protocol: u.Scheme, Host: u.Hostname(), Path: u.RequestURI(), text: s}
	number := u.Port()
	if number == "" {
		number = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return bad()
	}
	t.Port = uint16(port)
	if t.Protocol == "" {
		t.Protocol = "http"
		if t.Port == 443 {
			t.Protocol = "https"
		}
	}
	return t, nil
}

// String gives the target as it was written.
func (t Target) String() string { return t.text }

// authority gives HOST:PORT, which goes into the Host header.
func (t Target) authority() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }
