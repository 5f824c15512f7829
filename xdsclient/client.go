package xdsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/proxy"
)

// Options say where the control plane is, who asks, and what to do with the answers.
type Options struct {
	// Target is HOST:PORT or unix:PATH.
	Target string
	// TLS is for the connection; nil is plaintext. GetClientCertificate of it makes it mutual.
	TLS *tls.Config
	// TokenFile has a bearer token, read anew for every stream; "" sends none. Without TLS it is only sent over a unix socket.
	TokenFile string
	// Headers are sent with every stream, as Istio's ClusterID.
	Headers map[string]string
	// Dial makes the connections, for a caller whose own must be told apart; nil is gRPC's way. It is not used for unix:PATH.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Node is who asks.
	Node Node
	// Delta subscribes by increments in place of the state of the world.
	Delta bool

	// Apply puts a configuration in force; an error refuses it. It is called by one goroutine.
	Apply func(*proxy.Config) error
	// AccessLog makes access logs; nil writes none.
	AccessLog AccessLogFunc
	// Log is for what happens to the stream; nil is silent.
	Log *slog.Logger

	// FetchTimeout is how long a configuration waits for endpoints and routes that it names; zero is [DefaultFetchTimeout].
	FetchTimeout time.Duration
	// MaxBackoff bounds the pause before the next attempt to reach the control plane; zero is [DefaultMaxBackoff].
	MaxBackoff time.Duration
}

// What Options mean when they are zero, and the bounds of what comes in.
const (
	DefaultFetchTimeout = 15 * time.Second
	DefaultMaxBackoff   = 5 * time.Second
	// MaxMessageSize bounds a response, in bytes; a larger one ends the stream.
	MaxMessageSize = 64 << 20
	// MaxResources bounds the resources of one type; more are refused.
	MaxResources = 100_000

	minBackoff     = 200 * time.Millisecond
	connectTimeout = 10 * time.Second
	// bufferSize is of a connection on which little is said.
	bufferSize = 8 << 10
	// window is how much the server may send unread. It is fixed, since a gRPC that looks for a better one sends a ping with
	// every message, whose answer wakes the sidecar once more.
	window = 1 << 20
	// keepAliveTime is above the five minutes that servers of gRPC tolerate unasked.
	keepAliveTime    = 6 * time.Minute
	keepAliveTimeout = 20 * time.Second
)

// Node is the sidecar as the control plane knows it.
type Node struct {
	ID, Cluster           string
	Region, Zone, SubZone string
	// Metadata has what JSON has.
	Metadata map[string]any
	// Version is the sidecar's own.
	Version string
}

// A Client keeps a configuration the same as a control plane's. Make one with New.
type Client struct {
	options Options
	node    *corev3.Node

	// Of the goroutine of Run.
	good     state         // in force
	config   *proxy.Config // made of good
	accepted [kinds]bool   // something of the kind was taken once
	version  [kinds]string // of the last response that was acknowledged
	formats  map[string]proxy.AccessLog
	snapshot string // version that Config.Version has

	mu       sync.Mutex // guards what follows
	shown    state      // good, as Dump shows it
	answered [kinds]refusal
	versions [kinds]string
	applied  string // snapshot
	status   Status
}

// New makes a client; Run starts it. The error says which option is wrong.
func New(o Options) (*Client, error) {
	switch {
	case o.Target == "":
		return nil, errors.New("make xds client: there is no target")
	case o.Apply == nil:
		return nil, errors.New("make xds client: there is nothing to apply a configuration to")
	case o.TokenFile != "" && o.TLS == nil && !strings.HasPrefix(o.Target, "unix:"):
		return nil, errors.New("make xds client: a token wants TLS or a unix socket")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FetchTimeout == 0 {
		o.FetchTimeout = DefaultFetchTimeout
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	meta, err := structpb.NewStruct(o.Node.Metadata)
	if err != nil {
		return nil, fmt.Errorf("make xds client: node metadata: %w", err)
	}
	c := &Client{options: o, formats: map[string]proxy.AccessLog{}}
	c.node = &corev3.Node{
		Id: o.Node.ID, Cluster: o.Node.Cluster, Metadata: meta, UserAgentName: "oarlock-proxy",
		UserAgentVersionType: &corev3.Node_UserAgentVersion{UserAgentVersion: o.Node.Version},
		Locality:             &corev3.Locality{Region: o.Node.Region, Zone: o.Node.Zone, SubZone: o.Node.SubZone},
	}
	return c, nil
}

// Run subscribes until ctx ends, and again whenever the control plane was away; the configuration in force stays so
// meanwhile. It returns nil once ctx ended and everything that it started has stopped. It may be called once.
func (c *Client) Run(ctx context.Context) error {
	pause := minBackoff
	for ctx.Err() == nil {
		begin := time.Now()
		heard, err := c.session(ctx)
		c.disconnected(err)
		if ctx.Err() != nil {
			break
		}
		if heard || time.Since(begin) > time.Minute {
			pause = minBackoff
		}
		wait := pause/2 + rand.N(pause)
		c.options.Log.Warn("control plane is away", "target", c.options.Target, "err", err, "again", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		pause = min(pause*2, c.options.MaxBackoff)
	}
	return nil
}

// session is one stream, from connecting to its end. It says whether the server answered at all.
func (c *Client) session(ctx context.Context) (heard bool, err error) {
	conn, err := grpc.NewClient(c.options.Target, c.dialOptions()...)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	open := openSotW
	if c.options.Delta {
		open = openDelta
	}
	l, err := open(ctx, conn, c.node)
	if err != nil {
		return false, fmt.Errorf("open stream: %w", err)
	}
	c.connected()
	s := newSession(c, l)
	err = s.run(ctx)
	return s.heard, err
}

// dialOptions says how to reach the server. Every attempt has a connection of its own, so that there is one back-off.
func (c *Client) dialOptions() []grpc.DialOption {
	o := &c.options
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		transport = credentials.NewTLS(o.TLS)
	}
	out := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageSize)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAliveTime, Timeout: keepAliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithUserAgent("oarlock-proxy"),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		// Neither a resolver's service config nor a proxy from the environment may choose another server.
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	}
	if path, ok := strings.CutPrefix(o.Target, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		out = append(out, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialQuiet(ctx, path) }))
	} else if o.Dial != nil {
		out = append(out, grpc.WithContextDialer(o.Dial))
	}
	if o.TokenFile != "" || len(o.Headers) > 0 {
		out = append(out, grpc.WithPerRPCCredentials(&bearer{file: o.TokenFile, headers: o.Headers, secure: o.TLS != nil}))
	}
	return out
}

// bearer adds the token and other headers to a stream.
type bearer struct {
	file    string
	headers map[string]string
	secure  bool
}

// GetRequestMetadata is of credentials.PerRPCCredentials.
func (b *bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	out := map[string]string{}
	for k, v := range b.headers {
		out[strings.ToLower(k)] = v
	}
	if b.file == "" {
		return out, nil
	}
	token, err := os.ReadFile(b.file)
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	out["authorization"] = "Bearer " + strings.TrimSpace(string(token))
	return out, nil
}

// RequireTransportSecurity is of credentials.PerRPCCredentials.
func (b *bearer) RequireTransportSecurity() bool { return b.secure }

// maxFormats bounds the formats that are kept to give equal ones the same pointer.
const maxFormats = 64

// accessLog makes an access log, the same one for the same text.
func (c *Client) accessLog(path, text string, json []byte) (proxy.AccessLog, error) {
	key := path + "\x00" + text + "\x00" + string(json)
	if log, ok := c.formats[key]; ok {
		return log, nil
	}
	log, err := c.options.AccessLog(path, text, json)
	if err != nil {
		return log, err
	}
	if len(c.formats) >= maxFormats {
		clear(c.formats)
	}
	c.formats[key] = log
	return log, nil
}

// apply hands a state to the sink and makes it the one in force.
func (c *Client) apply(next state, version string) error {
	config := next.config(version, &c.good, c.config)
	if err := c.options.Apply(config); err != nil {
		return err
	}
	c.good, c.config, c.snapshot = next, config, version
	return nil
}
