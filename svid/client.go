package svid

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	pb "istio.io/api/security/v1alpha1"
)

// DefaultCluster is the cluster that istiod takes a caller to be from.
const DefaultCluster = "Kubernetes"

const (
	maxAnswer  = 1 << 20 // bytes
	dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// Client obtains SVIDs from a CSR service, istio.v1.auth.IstioCertificateService: our authority's or istiod's. Every SVID
// gets a key of its own, made here. Set the fields before the first call.
//
// Each call makes a connection of its own: once in half a day that costs nothing, there is nothing to keep alive, and a
// token, a root or an address that changed counts from the next call on.
type Client struct {
	// Address is host and port of the service.
	Address string
	// ServerName is the DNS name or IP address that the service's certificate must have; default the host in Address.
	ServerName string
	// TokenFile has the bearer token; it is read anew for each SVID, because tokens are replaced. Surrounding white
	// space does not count.
	TokenFile string
	// RootsFile has the PEM roots by which the service is believed. The roots that came with the last SVID count too, so
	// the file may be from before a rotation.
	RootsFile string
	// TTL is how long the SVID is to be valid, in whole seconds; zero leaves it to the service.
	TTL time.Duration
	// Cluster is what istiod wants to know as ClusterID, default [DefaultCluster].
	Cluster string
	// Dial makes the connection; default TCP, without any proxy of the environment.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	mu    sync.Mutex // guards what follows
	roots []*x509.Certificate
}

// Obtain makes a key and gets a certificate for it. The errors of the service are gRPC's, with their code.
func (c *Client) Obtain(ctx context.Context) (*Material, error) {
	token, err := readFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read token: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("make CSR: %w", err)
	}
	conn, err := c.connect()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	defer conn.Close()
	ctx = metadata.AppendToOutgoingContext(ctx,
		"authorization", "Bearer "+string(bytes.TrimSpace(token)), "ClusterID", cmp.Or(c.Cluster, DefaultCluster))
	var header metadata.MD
	asked := wallClock()
	answer, err := pb.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &pb.IstioCertificateRequest{
		Csr:              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		ValidityDuration: int64(c.TTL / time.Second),
	}, grpc.Header(&header))
	if err != nil {
		return nil, fmt.Errorf("ask %s for an SVID: %w", c.Address, err)
	}
	m, err := readAnswer(answer.GetCertChain())
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", c.Address, err)
	}
	m.Key = key
	if dates := header.Get("date"); len(dates) == 1 {
		if at, err := time.Parse(dateFormat, dates[0]); err == nil {
			// The header has whole seconds, so half of one is the best guess; and half of the way is the way back.
			now := wallClock()
			m.ServerTime, m.ServerTimeAt = at.Add(time.Second/2), asked.Add(now.Sub(asked)/2)
		}
	}
	c.mu.Lock()
	c.roots = m.Roots
	c.mu.Unlock()
	return m, nil
}

// readAnswer takes apart the answer of the service: leaf first, roots last.
func readAnswer(texts []string) (*Material, error) {
	if len(texts) < 2 || len(texts) > maxChain+1 {
		return nil, fmt.Errorf("%d elements, want the leaf, up to %d intermediates and the roots", len(texts), maxChain-1)
	}
	up, err := parseCertificates([]byte(strings.Join(texts[:len(texts)-1], "\n")), maxChain)
	if err != nil {
		return nil, err
	}
	roots, err := parseCertificates([]byte(texts[len(texts)-1]), maxRoots)
	if err != nil {
		return nil, err
	}
	return &Material{Certificates: up, Roots: roots}, nil
}

// connect makes a connection on which the service is verified by the roots of this moment.
func (c *Client) connect() (*grpc.ClientConn, error) {
	config, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	return grpc.NewClient("passthrough:///"+c.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(dial),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
}

func (c *Client) tlsConfig() (*tls.Config, error) {
	text, err := readFile(c.RootsFile)
	if err != nil {
		return nil, err
	}
	roots, err := parseCertificates(text, maxRoots)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.RootsFile, err)
	}
	name := c.ServerName
	if name == "" {
		if name, _, err = net.SplitHostPort(c.Address); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, errors.New("the address has no host; set the server's name")
	}
	pool := x509.NewCertPool()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range slices.Concat(roots, c.roots) {
		pool.AddCert(r)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: pool}, nil
}
