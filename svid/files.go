package svid

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// DefaultPoll is how often files are read.
const DefaultPoll = 10 * time.Second

const maxFile = 1 << 20

// Files are an SVID that somebody else keeps fresh: a PEM file each for the key, for the certificate with its
// intermediates, and for the roots, as in Istio's key.pem, cert-chain.pem and root-cert.pem.
type Files struct {
	Key, Chain, Roots string
	// Poll is how often they are read, default [DefaultPoll].
	Poll time.Duration
}

// Obtain reads the files. While they are being replaced, key and certificate may not fit together; that is an error, and
// the next reading finds them whole.
func (f *Files) Obtain(ctx context.Context) (*Material, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	chain, err := readFile(f.Chain)
	if err != nil {
		return nil, err
	}
	key, err := readFile(f.Key)
	if err != nil {
		return nil, err
	}
	roots, err := readFile(f.Roots)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("read %s and %s: %w", f.Chain, f.Key, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read %s: a %T cannot sign", f.Key, pair.PrivateKey)
	}
	m := &Material{Key: signer, Again: f.Poll}
	if m.Again <= 0 {
		m.Again = DefaultPoll
	}
	if m.Certificates, err = parseCertificates(chain, maxChain); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Chain, err)
	}
	if m.Roots, err = parseCertificates(roots, maxRoots); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Roots, err)
	}
	return m, nil
}

// readFile reads a file of at most maxFile bytes.
func readFile(name string) (text []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("read %s: longer than %d bytes", name, maxFile)
	}
	return text, err
}
