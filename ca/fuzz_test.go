package ca

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzCSR gives the authority anything at all: it either refuses it as the asker's fault, or issues to the one identity that
// was proven, with no name besides.
func FuzzCSR(f *testing.F) {
	good := plainCSR(f)
	f.Add(good)
	f.Add([]byte(nil))
	f.Add(bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	f.Add(append([]byte("Certificate Request:\n    Data:\n"), good...))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Headers: map[string]string{"A": "b"}, Bytes: []byte{0x30, 0x80}}))
	a := open(f, Options{})
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := a.Issue(text, web, time.Minute)
		if err != nil {
			if _, ok := err.(*RequestError); !ok {
				t.Fatalf("the authority takes the blame: %v", err)
			}
			return
		}
		if got.Leaf.IsCA || len(got.Leaf.URIs) != 1 || got.Leaf.URIs[0].String() != "spiffe://cluster.local/ns/default/sa/web" || len(got.Leaf.DNSNames) != 0 {
			t.Fatalf("issued %v %v", got.Leaf.URIs, got.Leaf.DNSNames)
		}
		if err := believe(got, got.Bundle); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzToken changes a good token in every way: nothing but the token itself proves an identity. (A second signature of the
// same claims would, but nobody can find one.)
func FuzzToken(f *testing.F) {
	tokens := tokensOf(f, "")
	good := tokenFor(f, tokens, web)
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(strings.ToUpper(good))
	f.Add(good[:len(good)-1] + "A")
	f.Add(strings.Replace(good, ".", "\n.", 1))
	f.Fuzz(func(t *testing.T, token string) {
		who, err := tokens.Authenticate(t.Context(), token)
		if token == good && err == nil && who == web {
			return
		}
		if err == nil || who != (Identity{}) {
			t.Fatalf("%q is taken for %+v, %v", token, who, err)
		}
	})
}

// FuzzState reads anything as a state: an error, or slots that can be written and read again.
func FuzzState(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "authority-v1.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"version":1,"trustDomain":"cluster.local","active":{"cert":"","roots":""}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeState(text, "cluster.local")
		if err != nil {
			return
		}
		again, err := encodeState("cluster.local", s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeState(again, "cluster.local")
		if err != nil || len(back.all()) != len(s.all()) || !back.active.cert.Equal(s.active.cert) || !back.spread.Equal(s.spread) {
			t.Fatalf("what is written reads otherwise: %v", err)
		}
	})
}

func TestParseCertificates(t *testing.T) {
	root := open(t, Options{}).bundle.Roots[0]
	one := certificatePEM(root)
	tests := []struct {
		name, text string
		want       int
		err        string
	}{
		{"one", one, 1, ""},
		{"two with text between", "subject=x\n" + one + "\nsubject=y\n" + one, 2, ""},
		{"with carriage returns", strings.ReplaceAll(one, "\n", "\r\n"), 1, ""},
		{"as many as may be", strings.Repeat(one, maxCertificates), maxCertificates, ""},
		{"one more", strings.Repeat(one, maxCertificates+1), 0, "more than 64"},
		{"none", "", 0, "no PEM block"},
		{"cut off", one[:len(one)/2], 0, "no PEM block"},
		{"a key among them", one + "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", 0, "EC PRIVATE KEY"},
		{"a broken one", one + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, "number 2"},
	}
	for _, tt := range tests {
		got, err := parseCertificates([]byte(tt.text))
		if len(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %d certificates, %v, want %d, %q", tt.name, len(got), err, tt.want, tt.err)
		}
	}
}

func TestParseKey(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"none":              {"", "no PEM block"},
		"encrypted":         {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "ENCRYPTED"},
		"parameters alone":  {"-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n", "no PEM block"},
		"broken":            {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "read key: "},
		"broken, in PKCS 1": {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "read key: "},
	} {
		if _, err := parseKey([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
}

// TestBundle holds that the bundle's version goes by its roots and not by their order, and who is told.
func TestBundle(t *testing.T) {
	a := open(t, Options{})
	told := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	alone, changed := a.Bundle()
	steps := []struct {
		name string
		do   func() error
		tell bool
	}{
		{"issue", func() error { issue(t, a, 0); return nil }, false},
		{"prepare", a.Prepare, true},
		{"go on by itself", a.Rotate, false},
		{"activate", func() error { return a.Activate(true) }, false},
		{"retire", func() error { return a.Retire(true) }, true},
	}
	versions := []string{alone.Version}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		if got := told(changed); got != s.tell {
			t.Errorf("%s: told %v, want %v", s.name, got, s.tell)
		}
		var b *Bundle
		b, changed = a.Bundle()
		if last := versions[len(versions)-1]; (b.Version != last) != s.tell {
			t.Errorf("%s: the version was %s and is %s", s.name, last, b.Version)
		}
		versions = append(versions, b.Version)
		if active := a.Status().Slots[0].Fingerprint; fingerprint(b.Roots[0]) != active {
			t.Errorf("%s: the first root is not that of the active authority", s.name)
		}
	}
	slices.Sort(versions)
	if n := len(slices.Compact(versions)); n != 3 {
		t.Errorf("%d bundles, want 3", n)
	}
	if alone.TrustDomain != a.TrustDomain() || len(alone.Roots) != 1 {
		t.Error("a bundle that was given away has changed")
	}
}
