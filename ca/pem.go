package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// certificatesPEM writes certificates one after the other.
func certificatesPEM(certs ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.WriteString(certificatePEM(c))
	}
	return out.Bytes()
}

func certificatePEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw}))
}

// parseCertificates reads every certificate of a PEM text. Text between blocks is skipped, as openssl writes some there;
// a block of another type is an error, because it is most likely a key in the wrong file.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != certificateBlock {
			return nil, fmt.Errorf("read certificates: there is a %q among them", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificates: number %d: %w", len(out)+1, err)
		}
		out = append(out, cert)
		if len(out) > maxCertificates {
			return nil, fmt.Errorf("read certificates: more than %d", maxCertificates)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("read certificates: no PEM block of type CERTIFICATE")
	}
	return out, nil
}

// keyPEM writes a private key as PKCS #8.
func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// parseKey reads a private key in any of the three forms that openssl writes. Its errors never quote the text.
func parseKey(text []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			return nil, errors.New("read key: no PEM block of a private key")
		}
		var key any
		var err error
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case keyBlock:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			return nil, fmt.Errorf("read key: found a %q", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("read key: a %T cannot sign", key)
		}
		return signer, nil
	}
}

// keyName describes a public key that the authority accepts: ECDSA on P-256 or P-384, RSA of 2048 to 4096 bits. Larger
// RSA keys would let a caller choose how long the authority computes.
func keyName(pub any) (string, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return "ECDSA " + k.Curve.Params().Name, nil
		}
		return "", fmt.Errorf("key is on the curve %s, want P-256 or P-384", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 4096 {
			return "", fmt.Errorf("RSA key has %d bits, want 2048 to 4096", n)
		}
		return fmt.Sprintf("RSA %d", k.N.BitLen()), nil
	case ed25519.PublicKey:
		return "", errors.New("key is Ed25519, which Envoy does not take; want ECDSA P-256")
	default:
		return "", fmt.Errorf("key is a %T, want ECDSA P-256", pub)
	}
}

// samePublic says whether two public keys are one.
func samePublic(a, b any) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// fingerprint names a certificate in logs and in status: the first 8 bytes of its SHA-256.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:8])
}
