package control

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/meshtest"
)

// outsiders are workloads that nothing on this machine runs, and one without a sidecar.
const outsiders = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop}
spec: {address: 10.0.0.1, serviceAccount: vm}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: nameless, namespace: shop}
spec: {address: 10.0.0.2, labels: {security.istio.io/tlsMode: istio}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: bare, namespace: plain}
spec:
  selector: {matchLabels: {app: bare}}
  template: {metadata: {labels: {app: bare}}, spec: {containers: [{name: bare, image: x}]}}
`

// TestToken: whatever the mesh has with a sidecar may get a token, whoever runs it, and its certificate is that workload's.
func TestToken(t *testing.T) {
	var log meshtest.Buffer
	r := start(t, func(o *Options) {
		o.Source.(*text).set("/mesh/out.yaml", outsiders)
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	r.client.User = "ada"
	var secrets []string
	for pod, account := range map[string]string{"api-abc-1": "api", "vm": "vm"} {
		before := time.Now()
		got, err := r.client.Token(t.Context(), api.TokenRequest{Namespace: "shop", Pod: pod})
		if err != nil {
			t.Fatal(err)
		}
		want := "spiffe://cluster.local/ns/shop/sa/" + account
		if life := got.Expires.Sub(before); got.Kind != "Token" || got.Namespace != "shop" || got.Pod != pod || got.Identity != want ||
			life < time.Hour-time.Second || life > time.Hour+time.Minute {
			t.Errorf("%s: %s, for %s/%s, lives for %v", got.Kind, got.Identity, got.Namespace, got.Pod, life)
		}
		chain, err := r.issue(got.Token)
		if err != nil {
			t.Fatalf("%s: %v", pod, err)
		}
		block, _ := pem.Decode([]byte(chain[0]))
		if leaf, err := x509.ParseCertificate(block.Bytes); err != nil || len(leaf.URIs) != 1 || leaf.URIs[0].String() != want {
			t.Errorf("%s: SVID %v, %v", pod, leaf, err)
		}
		secrets = append(secrets, got.Token)
	}
	changes := r.changes(2)
	if c := changes[0]; !strings.HasPrefix(c.What, "issue token for shop/") || c.Who != "command line" || c.User != "ada" || c.Undo {
		t.Errorf("the change is %+v", c)
	}
	audit, err := os.ReadFile(filepath.Join(r.opt.State, auditFile))
	if err != nil || !strings.Contains(string(audit), "issue token for shop/vm") {
		t.Errorf("audit log %s, %v", audit, err)
	}
	for _, secret := range secrets {
		// Each part counts: who has the signature has the token, since the rest can be guessed.
		for part := range strings.SplitSeq(secret, ".") {
			if strings.Contains(log.String(), part) || strings.Contains(string(audit), part) {
				t.Error("a part of a token is in the log, or in the audit log")
			}
		}
	}
}

// TestTokenRefused: for what the mesh has not, and for what has no sidecar or no identity, there is none.
func TestTokenRefused(t *testing.T) {
	r := start(t, func(o *Options) { o.Source.(*text).set("/mesh/out.yaml", outsiders) })
	for _, c := range []struct {
		namespace, pod string
		status         int
		words          string
	}{
		{"shop", "nobody", http.StatusNotFound, "issue token for shop/nobody: the mesh has no such workload"},
		{"", "api-abc-1", http.StatusNotFound, "no such workload"},
		{"plain", "api-abc-1", http.StatusNotFound, "no such workload"},
		{"shop", "api", http.StatusNotFound, "no such workload"}, // its pods are in its place
		{"plain", "bare-abc-1", http.StatusConflict, "issue token for plain/bare-abc-1: it has no sidecar: "},
		{"shop", "nameless", http.StatusConflict, "it names no serviceAccount"},
	} {
		got, err := r.client.Token(t.Context(), api.TokenRequest{Namespace: c.namespace, Pod: c.pod})
		refused(t, err, c.status, c.words)
		if got != nil {
			t.Errorf("%s/%s got a token", c.namespace, c.pod)
		}
	}
	if changes := r.changes(0); len(changes) != 0 {
		t.Errorf("what was refused is among the changes: %+v", changes)
	}
}

// TestTokenTooEarly: before it is known what runs there is none.
func TestTokenTooEarly(t *testing.T) {
	p, err := New(t.Context(), Options{Source: &text{files: map[string]string{"/mesh/shop.yaml": shop}}, Engine: newMachine(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.api.Close()
	got, err := p.Token(api.TokenRequest{Namespace: "shop", Pod: "api"})
	if got != nil || err == nil || err.Error() != "issue token for shop/api: it is not known yet what runs" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestTokenOfGone: a workload that is gone gets no token any more.
func TestTokenOfGone(t *testing.T) {
	r := start(t, func(o *Options) { o.Source.(*text).set("/mesh/out.yaml", outsiders) })
	ask := api.TokenRequest{Namespace: "shop", Pod: "vm"}
	if _, err := r.client.Token(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	r.source.set("/mesh/out.yaml", strings.ReplaceAll(outsiders, "name: vm,", "name: other,"))
	r.reload()
	_, err := r.client.Token(t.Context(), ask)
	refused(t, err, http.StatusNotFound, "no such workload")
}
