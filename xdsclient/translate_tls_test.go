package xdsclient

import (
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/oarlock/oarlock/proxy"
)

// The files at which Istio had a workload's own SVID stand for the one that the sidecar has.
func TestOwnFiles(t *testing.T) {
	got, err := certificateOf(&tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: secretOwnFiles}}})
	if err != nil || got != (proxy.Certificate{Own: true}) {
		t.Errorf("certificateOf = %+v, %v", got, err)
	}
	if got, err := secretTrust(secretOwnRoots); err != nil || got != (proxy.Trust{Own: true}) {
		t.Errorf("secretTrust = %+v, %v", got, err)
	}
	if got, err := secretTrust("file-root:/etc/certs/ca.pem"); err != nil || got != (proxy.Trust{RootFile: "/etc/certs/ca.pem"}) {
		t.Errorf("secretTrust = %+v, %v", got, err)
	}
}
