package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// certFiles are the certificates and roots of files, read again when they change.
type certFiles struct {
	mounts map[string]string

	mu    sync.Mutex // guards files
	files map[string]*certFile
}

// A certFile is what was read of one set of files.
type certFile struct {
	checked  time.Time
	modified [2]time.Time
	pair     *tls.Certificate
	pool     *x509.CertPool
	err      error
}

// recheck is how often a file is looked at again, at most.
const recheck = time.Second

// read gives the content for a key, and reads it with load if one of the files has changed. Where reading fails and there
// was something before, that stays.
func (f *certFiles) read(key string, names []string, load func(*certFile) error) (*certFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.files = map[string]*certFile{}
	}
	old, now := f.files[key], time.Now()
	if old != nil && now.Sub(old.checked) < recheck {
		return old, old.err
	}
	next := &certFile{checked: now}
	for i, name := range names {
		if st, err := os.Stat(f.path(name)); err == nil {
			next.modified[i] = st.ModTime()
		}
	}
	if old != nil && old.err == nil && old.modified == next.modified {
		old.checked = now
		return old, nil
	}
	next.err = load(next)
	if next.err != nil && old != nil && old.err == nil {
		old.checked = now
		return old, nil
	}
	f.files[key] = next
	return next, next.err
}

// path is where a file lies on this machine: below the folder of the longest mount path that it begins with.
func (f *certFiles) path(name string) string {
	longest, out := -1, name
	for mount, folder := range f.mounts {
		rest, ok := strings.CutPrefix(name, strings.TrimSuffix(mount, "/"))
		if ok && (rest == "" || rest[0] == '/') && len(mount) > longest {
			longest, out = len(mount), filepath.Join(folder, rest)
		}
	}
	return out
}

func (f *certFiles) keyPair(c Certificate) (*tls.Certificate, error) {
	got, err := f.read("pair "+c.CertFile+" "+c.KeyFile, []string{c.CertFile, c.KeyFile}, func(into *certFile) error {
		pair, err := tls.LoadX509KeyPair(f.path(c.CertFile), f.path(c.KeyFile))
		into.pair = &pair
		return err
	})
	if err != nil {
		return nil, &peerError{label: "no_identity", err: fmt.Errorf("read certificate: %w", err)}
	}
	return got.pair, nil
}

func (f *certFiles) roots(name string) (*x509.CertPool, error) {
	got, err := f.read("roots "+name, []string{name}, func(into *certFile) error {
		b, err := os.ReadFile(f.path(name))
		if err != nil {
			return err
		}
		into.pool = x509.NewCertPool()
		if !into.pool.AppendCertsFromPEM(b) {
			return fmt.Errorf("%s: no certificate in it", name)
		}
		return nil
	})
	if err != nil {
		return nil, &peerError{label: "no_identity", err: fmt.Errorf("read roots: %w", err)}
	}
	return got.pool, nil
}

func (p *Proxy) serverCertificate(c Certificate) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	switch {
	case c.Own && p.opt.Identity == nil:
		return nil, errNoIdentity
	case c.Own:
		return p.opt.Identity.ServerConfig(matcher(nil)).GetCertificate, nil
	case c.CertFile == "":
		return nil, errors.New("the TLS context has no certificate")
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.files.keyPair(c) }, nil
}

// clientCertificate presents nothing where there is nothing to present.
func (p *Proxy) clientCertificate(c Certificate) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if c.CertFile == "" {
		return nil, nil
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.files.keyPair(c) }, nil
}

// verifier checks a peer against roots of a file or of the machine, on resumed connections too.
func (p *Proxy) verifier(t Trust, names []NameMatch, usage x509.ExtKeyUsage) (func(tls.ConnectionState) error, error) {
	if t == (Trust{}) {
		return func(s tls.ConnectionState) error { return matchNames(s.PeerCertificates, names) }, nil
	}
	var system *x509.CertPool
	if t.System {
		var err error
		if system, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the machine's roots: %w", err)
		}
	}
	return func(s tls.ConnectionState) error {
		roots := system
		if roots == nil {
			var err error
			if roots, err = p.files.roots(t.RootFile); err != nil {
				return err
			}
		}
		if err := verifyChain(s.PeerCertificates, roots, usage); err != nil {
			return err
		}
		return matchNames(s.PeerCertificates, names)
	}, nil
}

func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return &peerError{label: "no_certificate", err: errors.New("the peer sent no certificate")}
	}
	opt := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	for _, c := range chain[1:] {
		opt.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opt)
	if err == nil {
		return nil
	}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	label := "bad_certificate"
	switch {
	case errors.As(err, &unknown):
		label = "unknown_authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		label = "not_yet_valid"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		label = "expired"
	}
	return &peerError{label: label, err: err}
}

// matchNames wants one of the names among the certificate's URIs, DNS names and IP addresses.
func matchNames(chain []*x509.Certificate, names []NameMatch) error {
	if len(names) == 0 {
		return nil
	}
	if len(chain) == 0 {
		return &peerError{label: "no_certificate", err: errors.New("the peer sent no certificate")}
	}
	have := certificateNames(chain[0])
	for _, n := range names {
		// VerifyHostname knows wildcards in the certificate.
		if slices.ContainsFunc(have, n.matches) || !n.Prefix && chain[0].VerifyHostname(n.Value) == nil {
			return nil
		}
	}
	return &peerError{label: "not_authorized", err: fmt.Errorf("its certificate has none of %s", nameList(names))}
}

func certificateNames(c *x509.Certificate) []string {
	out := append([]string(nil), c.DNSNames...)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}
