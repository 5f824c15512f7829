package sniff_test

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/sniff"
)

// TestOpenSSL sniffs the hellos of a client that we did not write, one of them in many small records.
func TestOpenSSL(t *testing.T) {
	path := meshtest.Require(t, "openssl", "openssl")
	for _, args := range [][]string{{}, {"-tls1_2"}, {"-max_send_frag", "512", "-curves", "X25519:P-256:P-384"}} {
		address, accepted := listenOnce(t)
		cmd := exec.CommandContext(t.Context(), path, slices.Concat(
			[]string{"s_client", "-connect", address, "-servername", "Foo.Bar", "-alpn", "istio-peer-exchange,istio"}, args)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c := sniff.NewConn(<-accepted)
		r, err := c.Sniff(sniff.Limits{FirstByte: time.Minute})
		c.Close()
		cmd.Process.Kill()
		cmd.Wait()
		if err != nil || r.Protocol != sniff.TLS {
			t.Errorf("%q: %v, %v, problem %v", args, r.Protocol, err, r.Problem)
			continue
		}
		if r.Hello.ServerName != "foo.bar" || !slices.Equal(r.Hello.ALPN, []string{"istio-peer-exchange", "istio"}) {
			t.Errorf("%q: %+v", args, r.Hello)
		}
	}
}
