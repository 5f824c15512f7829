package sidecar

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/metrics"
	"github.com/oarlock/oarlock/proxy"
	"github.com/oarlock/oarlock/xdsclient"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// subscribe waits for the first configuration, and keeps it fresh from then on where there is a control plane.
func (s *sidecar) subscribe(ctx context.Context) error {
	if s.file.Static != nil {
		return s.applyStatic()
	}
	first := make(chan struct{})
	opt, err := s.subscription(sync.OnceFunc(func() { close(first) }))
	if err != nil {
		return err
	}
	client, err := xdsclient.New(opt)
	if err != nil {
		return &ConfigError{err}
	}
	s.client.Store(client)
	s.series.XDS(func() metrics.XDSStatus { return xdsStatus(client) })
	run, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(run) }()
	s.closers = append(s.closers, func() error { cancel(); return <-done })
	select {
	case <-first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sidecar) applyStatic() error {
	c, err := xdsclient.Static(s.file.Static, s.formats.accessLog)
	if err != nil {
		return configError("read staticResources: %w", err)
	}
	if err := s.apply(c); err != nil {
		if errors.As(err, new(*net.OpError)) {
			return err // an address that is in use may be free later
		}
		return configError("read staticResources: %w", err)
	}
	return nil
}

// subscription says where the control plane is. applied is called after each configuration that came into force.
func (s *sidecar) subscription(applied func()) (xdsclient.Options, error) {
	x := s.file.XDS
	opt := xdsclient.Options{
		Target: x.Address, TokenFile: x.TokenFile, Delta: x.Delta,
		Node:      xdsclient.Node{ID: nodeID(s.file), Cluster: nodeCluster(s.file.Node), Metadata: nodeMetadata(s.file), Version: s.opt.Version},
		AccessLog: s.formats.accessLog, Log: s.log,
		Apply: func(c *proxy.Config) error {
			if err := s.apply(c); err != nil {
				return err
			}
			applied()
			return nil
		},
	}
	if id := s.file.Node.ClusterID; id != "" {
		opt.Headers = map[string]string{"ClusterID": id}
	}
	if s.file.Capture.Mark != 0 {
		opt.Dial = s.dialControlPlane
	}
	if x.Plaintext {
		return opt, nil
	}
	var err error
	opt.TLS, err = s.controlPlaneTLS(x)
	return opt, err
}

// controlPlaneTLS believes the roots of the file as it is at each handshake, since roots are rotated, and those that came
// with the workload's own SVID.
func (s *sidecar) controlPlaneTLS(x *bootstrap.XDS) (*tls.Config, error) {
	name := x.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(x.Address)
		if err != nil || strings.HasPrefix(x.Address, "unix:") {
			return nil, configError("read xds: a server name is needed for %s", x.Address)
		}
		name = host
	}
	if x.RootsFile != "" {
		if _, err := os.Stat(x.RootsFile); err != nil {
			return nil, configError("read xds.rootsFile: %w", err)
		}
	} else if s.identity.Load() == nil {
		return nil, configError("read xds: there are neither rootsFile nor identity to believe the server by")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name,
		// The roots may be others at the next handshake, so VerifyConnection checks, with the name.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			roots, err := s.controlPlaneRoots(x.RootsFile)
			if err != nil {
				return err
			}
			return verifyServer(cs, roots, name)
		},
	}
	if x.MTLS {
		c.GetClientCertificate = s.identity.Load().GetClientCertificate
	}
	return c, nil
}

func (s *sidecar) controlPlaneRoots(file string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if id := s.identity.Load(); id != nil {
		for _, root := range id.State().Roots {
			pool.AddCert(root)
		}
	}
	if file == "" {
		return pool, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read roots of control plane: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read roots of control plane %s: there is no certificate in it", file)
	}
	return pool, nil
}

func verifyServer(cs tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("verify control plane: it has no certificate")
	}
	opt := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates[1:] {
		opt.Intermediates.AddCert(c)
	}
	if _, err := cs.PeerCertificates[0].Verify(opt); err != nil {
		return fmt.Errorf("verify control plane: %w", err)
	}
	return nil
}

func xdsStatus(c *xdsclient.Client) metrics.XDSStatus {
	st := c.Status()
	out := metrics.XDSStatus{Connected: st.Connected, Acknowledged: uint64(st.Acknowledged), Refused: uint64(st.Refused),
		Versions: c.Versions()}
	for _, n := range c.Ignored() {
		out.Ignored += n
	}
	return out
}

// waitsFor says in words what keeps the first configuration away.
func waitsFor(c *xdsclient.Client) string {
	st := c.Status()
	switch {
	case st.Waiting != "":
		return "its first configuration: " + st.Waiting + " is missing"
	case st.Err != nil:
		return "its first configuration: " + st.Err.Error()
	case !st.Connected:
		return "its first configuration: the control plane is not there"
	}
	return "its first configuration"
}

// resources are what is in force, as it came.
func (s *sidecar) resources() []resource {
	if s.file.Static != nil {
		return s.staticResources()
	}
	c := s.client.Load()
	if c == nil {
		return nil
	}
	var out []resource
	for _, t := range c.Dump().Types {
		for _, r := range t.Resources {
			out = append(out, resource{kind: kinds[t.TypeURL], name: r.Name, version: r.Version, updated: r.Updated, json: toJSON(r.Raw)})
		}
	}
	return out
}

// staticResources are the file's own.
func (s *sidecar) staticResources() []resource {
	var file struct {
		Listeners []json.RawMessage `json:"listeners"`
		Clusters  []json.RawMessage `json:"clusters"`
	}
	if err := json.Unmarshal(s.file.Static, &file); err != nil {
		return nil // said when it was applied
	}
	var out []resource
	add := func(kind string, list []json.RawMessage) {
		for _, text := range list {
			var named struct {
				Name string `json:"name"`
			}
			if err := json.Unmarshal(text, &named); err == nil {
				out = append(out, resource{kind: kind, name: named.Name, updated: s.started, json: text})
			}
		}
	}
	add(kindListener, file.Listeners)
	add(kindCluster, file.Clusters)
	return out
}

// toJSON writes a resource as JSON. A type inside it that this program does not link is left empty.
func toJSON(raw *anypb.Any) json.RawMessage {
	m, err := raw.UnmarshalNew()
	if err != nil {
		return json.RawMessage("{}")
	}
	b, err := protojson.MarshalOptions{UseProtoNames: true, Resolver: lenientTypes{protoregistry.GlobalTypes}}.Marshal(m)
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}

// lenientTypes stands an empty message in for a type that is not known.
type lenientTypes struct{ *protoregistry.Types }

// FindMessageByURL is of protojson's resolver.
func (t lenientTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if found, err := t.Types.FindMessageByURL(url); err == nil {
		return found, nil
	}
	return (*emptypb.Empty)(nil).ProtoReflect().Type(), nil
}

// kinds are the resources that are dumped.
var kinds = map[string]string{
	"type.googleapis.com/envoy.config.listener.v3.Listener":              kindListener,
	"type.googleapis.com/envoy.config.cluster.v3.Cluster":                kindCluster,
	"type.googleapis.com/envoy.config.route.v3.RouteConfiguration":       kindRoute,
	"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": kindEndpoint,
}
