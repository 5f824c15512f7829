package ca

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	pb "istio.io/api/security/v1alpha1"
)

// What a ServiceOptions field means when it is zero.
const (
	DefaultRate  = 1.0 // SVIDs a second
	DefaultBurst = 20
)

// maxAskers bounds the memory of the rate limit: about 100 bytes for each.
const maxAskers = 1 << 16

// ServiceOptions are the settings of a [Service].
type ServiceOptions struct {
	// Rate is how many SVIDs one workload may get a second in the long run, and Burst how many at once. Defaults
	// [DefaultRate] and [DefaultBurst]. A workload that the authenticator has no name for shares with all of its
	// service account.
	Rate  float64
	Burst int
	// Log gets a record of each SVID and of each refusal, without secrets. Default: nowhere.
	Log *slog.Logger
}

// Service is istio.v1.auth.IstioCertificateService: it gives an SVID to whoever presents a token. Who that is says the
// token alone. The CSR contributes a public key.
//
// The answers have Istio's codes: Unauthenticated without a valid token, or where the metadata asks for somebody else's
// identity; InvalidArgument for a CSR or a validity that is not acceptable; ResourceExhausted over the rate; Internal when
// the authority cannot issue. The header "date" has the authority's clock, so that a client can compare its own.
type Service struct {
	pb.UnimplementedIstioCertificateServiceServer
	authority *Authority
	authn     Authenticator
	limit     *limiter
	log       *slog.Logger
}

// NewService makes the service of an authority. Register it with pb.RegisterIstioCertificateServiceServer, or let
// [Service.Server] do it.
func NewService(a *Authority, authn Authenticator, opt ServiceOptions) *Service {
	s := &Service{authority: a, authn: authn, log: opt.Log}
	s.limit = newLimiter(cmp.Or(opt.Rate, DefaultRate), float64(cmp.Or(opt.Burst, DefaultBurst)), maxAskers)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// CreateCertificate answers one CSR.
func (s *Service) CreateCertificate(ctx context.Context, req *pb.IstioCertificateRequest) (*pb.IstioCertificateResponse, error) {
	// It fails only outside a call, where there is nobody to read it.
	_ = grpc.SetHeader(ctx, metadata.Pairs("date", time.Now().UTC().Format(dateFormat)))
	log := s.log.With("peer", peerAddress(ctx))
	who, err := s.authenticate(ctx, req)
	if err != nil {
		log.Warn("CSR refused: who asks is not proven", "error", err)
		return nil, status.Error(codes.Unauthenticated, "the caller's identity is not proven")
	}
	log = log.With("namespace", who.Namespace, "service_account", who.ServiceAccount, "workload", who.Workload)
	if !s.limit.allow(who.Namespace+"/"+who.ServiceAccount+"/"+who.Workload, time.Now()) {
		log.Warn("CSR refused: too many")
		return nil, status.Error(codes.ResourceExhausted, "too many certificate requests; try again later")
	}
	issued, err := s.authority.Issue([]byte(req.GetCsr()), who, lifetime(req.GetValidityDuration()))
	if bad := (*RequestError)(nil); errors.As(err, &bad) {
		log.Warn("CSR refused", "error", err)
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err != nil {
		log.Error("CSR cannot be answered", "error", err)
		return nil, status.Error(codes.Internal, err.Error())
	}
	name, _ := keyName(issued.Leaf.PublicKey) // Issue has looked at it
	log.Info("SVID issued", "id", issued.ID, "serial", issued.Leaf.SerialNumber.Text(16), "key", name,
		"not_before", issued.Leaf.NotBefore, "not_after", issued.Leaf.NotAfter, "bundle", issued.Bundle.Version)
	return &pb.IstioCertificateResponse{CertChain: issued.PEM()}, nil
}

// dateFormat is that of HTTP's header of the same name.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// lifetime reads seconds. What would overflow is as good as forever, and Issue refuses it.
func lifetime(seconds int64) time.Duration {
	if seconds > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return max(0, time.Duration(seconds)) * time.Second
}

// authenticate says who asks. Istio's node agents may ask for others by ImpersonatedIdentity; here nobody may.
func (s *Service) authenticate(ctx context.Context, req *pb.IstioCertificateRequest) (Identity, error) {
	if other := req.GetMetadata().GetFields()["ImpersonatedIdentity"].GetStringValue(); other != "" {
		return Identity{}, fmt.Errorf("it asks for the identity of another, %.100q", other)
	}
	token, err := bearerToken(ctx)
	if err != nil {
		return Identity{}, err
	}
	who, err := s.authn.Authenticate(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	if _, err := who.SPIFFEID(s.authority.TrustDomain()); err != nil {
		return Identity{}, err
	}
	return who, nil
}

// bearerToken takes the one token that the metadata has. With two, which one counts would be anybody's guess.
func bearerToken(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", fmt.Errorf("found %d authorization headers, want one", len(values))
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok || token == "" {
		return "", errors.New("the authorization header has no bearer token")
	}
	return token, nil
}

func peerAddress(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		return p.Addr.String()
	}
	return ""
}

// Server makes a gRPC server with the service and its bounds: small messages, few streams, a deadline for handshakes, no
// idle connections. Options add to them, or, named later, win. Whoever has a server already registers the service there.
func (s *Service) Server(config *tls.Config, options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(config)),
		grpc.MaxRecvMsgSize(MaxCSR + 16<<10), // the CSR, and metadata that some clients send
		grpc.MaxHeaderListSize(maxToken + 8<<10),
		grpc.MaxConcurrentStreams(16),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 5 * time.Minute}),
	}, options...)...)
	pb.RegisterIstioCertificateServiceServer(server, s)
	return server
}

// A serverCert keeps the certificate of the authority's own server fresh.
type serverCert struct {
	authority *Authority
	id        spiffeid.ID
	hosts     []string

	mu     sync.Mutex // guards what follows
	cert   *tls.Certificate
	issuer string // fingerprint of the authority that issued it
	renew  time.Time
}

// ServerTLS is the TLS configuration of the authority's own server: a certificate for who, with the DNS names and IP
// addresses by which clients call it. It is issued in memory, renewed at half of its life and when the active authority
// changes.
func (a *Authority) ServerTLS(who Identity, hosts ...string) (*tls.Config, error) {
	id, err := who.SPIFFEID(a.td)
	if err != nil {
		return nil, err
	}
	c := &serverCert{authority: a, id: id, hosts: hosts}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, GetCertificate: c.get}, nil
}

func (c *serverCert) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	active := c.authority.Status().Slots[0].Fingerprint
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.cert != nil && c.issuer == active && now.Before(c.renew) {
		return c.cert, nil
	}
	cert, err := c.make()
	if err != nil {
		if c.cert != nil && now.Before(c.cert.Leaf.NotAfter) {
			return c.cert, nil
		}
		return nil, err
	}
	c.cert, c.issuer, c.renew = cert, active, now.Add(cert.Leaf.NotAfter.Sub(now)/2)
	return cert, nil
}

func (c *serverCert) make() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of the server: %w", err)
	}
	issued, err := c.authority.issueServer(key.Public(), c.id, c.hosts)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: issued.Leaf, Certificate: [][]byte{issued.Leaf.Raw}}
	for _, up := range issued.Chain {
		cert.Certificate = append(cert.Certificate, up.Raw)
	}
	return cert, nil
}
