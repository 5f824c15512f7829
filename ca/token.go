package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// Audience is whom a token is for: the value that Istio's workloads ask of Kubernetes.
	Audience = "istio-ca"
	// TokenTTL is the life of a token.
	TokenTTL = time.Hour
	// TokensFile is where the key that signs tokens is kept.
	TokensFile = "tokens.json"

	issuer         = "oarlock"
	subjectPrefix  = "system:serviceaccount:"
	maxToken       = 8 << 10
	tokenLeeway    = time.Minute // for clocks, at the beginning of a token's life; its end is strict
	tokensVersion  = 1
	signatureBytes = 64
)

// An Authenticator says who presents a bearer token. An error means that the token proves nothing; its text goes to the
// log and never to the asker, and must not quote the token.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Tokens issues the tokens of the workloads of one machine and is the [Authenticator] for them. A token is a JWT signed
// with ES256, for [Audience], of the subject system:serviceaccount:NS:SA, for one workload. The key survives a restart.
// Methods may be called from any goroutine.
type Tokens struct {
	key *ecdsa.PrivateKey
	kid string
}

type tokensJSON struct {
	Version int    `json:"version"`
	Key     string `json:"key"`
}

type tokenHeader struct {
	Alg  string   `json:"alg"`
	Typ  string   `json:"typ,omitempty"`
	Kid  string   `json:"kid"`
	Crit []string `json:"crit,omitempty"`
}

type tokenClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	Issued   int64    `json:"iat"`
	Begins   int64    `json:"nbf"`
	Expires  int64    `json:"exp"`
	Workload string   `json:"workload"`
}

// OpenTokens reads the signing key that a folder holds in [TokensFile], or makes one. An empty dir keeps nothing.
func OpenTokens(dir string) (*Tokens, error) {
	t, err := openTokens(dir)
	if err != nil {
		return nil, fmt.Errorf("open tokens: %w", err)
	}
	return t, nil
}

func openTokens(dir string) (*Tokens, error) {
	if dir == "" {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return newTokens(key)
	}
	if err := openFolder(dir); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, TokensFile)
	text, err := readSecret(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createTokens(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err = readSecret(file)
	}
	if err != nil {
		return nil, err
	}
	key, err := decodeTokens(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return newTokens(key)
}

func createTokens(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	secret, err := keyPEM(key)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(tokensJSON{tokensVersion, string(secret)}, "", "  ")
	if err != nil {
		return err
	}
	return createFile(file, append(text, '\n'))
}

func decodeTokens(text []byte) (*ecdsa.PrivateKey, error) {
	var in tokensJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	if in.Version != tokensVersion {
		return nil, fmt.Errorf("version %d is not one that this program knows (newest: %d)", in.Version, tokensVersion)
	}
	signer, err := parseKey([]byte(in.Key))
	if err != nil {
		return nil, err
	}
	key, ok := signer.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not ECDSA P-256")
	}
	return key, nil
}

func newTokens(key *ecdsa.PrivateKey) (*Tokens, error) {
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(pub)
	return &Tokens{key: key, kid: base64.RawURLEncoding.EncodeToString(sum[:12])}, nil
}

// Issue makes a token for a workload, valid for [TokenTTL], and says when it expires. It is a secret: keep it out of
// arguments, environments and logs.
func (t *Tokens) Issue(who Identity) (token string, expires time.Time, err error) {
	if who.Namespace == "" || who.ServiceAccount == "" || who.Workload == "" || strings.Contains(who.Namespace+who.ServiceAccount, ":") {
		return "", time.Time{}, fmt.Errorf("issue token: %+v is not a workload with a service account", who)
	}
	now := time.Now()
	expires = now.Add(TokenTTL).Truncate(time.Second)
	head, err := json.Marshal(tokenHeader{Alg: "ES256", Typ: "JWT", Kid: t.kid})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	claims, err := json.Marshal(tokenClaims{
		Issuer: issuer, Subject: subjectPrefix + who.Namespace + ":" + who.ServiceAccount, Audience: []string{Audience},
		Issued: now.Unix(), Begins: now.Unix(), Expires: expires.Unix(), Workload: who.Workload,
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, t.key, sum[:])
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issue token: %w", err)
	}
	signature := make([]byte, signatureBytes)
	r.FillBytes(signature[:signatureBytes/2])
	s.FillBytes(signature[signatureBytes/2:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), expires, nil
}

// Authenticate takes a token that Issue made with the same key and that is valid now, and nothing else.
func (t *Tokens) Authenticate(_ context.Context, token string) (Identity, error) {
	who, err := t.verify(token, time.Now())
	if err != nil {
		return Identity{}, fmt.Errorf("read token: %w", err)
	}
	return who, nil
}

// verify checks the signature before it looks at a claim.
func (t *Tokens) verify(token string, now time.Time) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, fmt.Errorf("%d bytes, at most %d", len(token), maxToken)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, "\r\n") { // which package base64 would skip
		return Identity{}, errors.New("not a JWT")
	}
	var head tokenHeader
	if err := decodePart(parts[0], &head); err != nil {
		return Identity{}, fmt.Errorf("header: %w", err)
	}
	if head.Alg != "ES256" || head.Kid != t.kid || len(head.Crit) > 0 {
		return Identity{}, fmt.Errorf("signed with the key %q by %q, not with ours", head.Kid, head.Alg)
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(signature) != signatureBytes {
		return Identity{}, errors.New("the signature is malformed")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:signatureBytes/2]), new(big.Int).SetBytes(signature[signatureBytes/2:])
	if !ecdsa.Verify(&t.key.PublicKey, sum[:], r, s) {
		return Identity{}, errors.New("the signature is wrong")
	}
	var claims tokenClaims
	if err := decodePart(parts[1], &claims); err != nil {
		return Identity{}, fmt.Errorf("claims: %w", err)
	}
	return claims.identity(now)
}

// identity gives whom the claims speak of, if they are for us and for now.
func (c *tokenClaims) identity(now time.Time) (Identity, error) {
	begins, expires := time.Unix(c.Begins, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Issuer != issuer:
		return Identity{}, fmt.Errorf("issued by %q, not by %q", c.Issuer, issuer)
	case !slices.Contains(c.Audience, Audience):
		return Identity{}, fmt.Errorf("for the audience %q, not %q", c.Audience, Audience)
	case !now.Before(expires):
		return Identity{}, fmt.Errorf("expired at %s", expires.UTC().Format(time.RFC3339))
	case now.Add(tokenLeeway).Before(begins):
		return Identity{}, fmt.Errorf("not valid before %s", begins.UTC().Format(time.RFC3339))
	}
	account, ok := strings.CutPrefix(c.Subject, subjectPrefix)
	ns, sa, cut := strings.Cut(account, ":")
	if !ok || !cut || ns == "" || sa == "" || strings.Contains(sa, ":") || c.Workload == "" {
		return Identity{}, fmt.Errorf("the subject %q and workload %q are not those of a workload", c.Subject, c.Workload)
	}
	return Identity{Namespace: ns, ServiceAccount: sa, Workload: c.Workload}, nil
}

// decodePart reads one part of a JWT, which must be one JSON object and nothing more.
func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return errors.New("not base64url")
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return errors.New("not a JSON object")
	}
	return json.Unmarshal(text, into) // it refuses text after the value
}
