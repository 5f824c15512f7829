package ca

import (
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Identity is who a workload is to the authority. Who may claim one is for an [Authenticator] to say.
type Identity struct {
	Namespace      string
	ServiceAccount string
	// Workload is the running instance that the proof is bound to, as in "web-1"; "" where that is not known. It is
	// written to the log and counts for the rate limit; the SVID does not have it.
	Workload string
}

// SPIFFEID gives spiffe://TD/ns/NS/sa/SA. The error says which segment the SPIFFE standard does not allow.
func (i Identity) SPIFFEID(td spiffeid.TrustDomain) (spiffeid.ID, error) {
	id, err := spiffeid.FromSegments(td, "ns", i.Namespace, "sa", i.ServiceAccount)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("name service account %q of namespace %q: %w", i.ServiceAccount, i.Namespace, err)
	}
	return id, nil
}

// parseTrustDomain reads a trust domain as Istio does, which takes "@" for ".".
func parseTrustDomain(name string) (spiffeid.TrustDomain, error) {
	if strings.ContainsAny(name, "/:") { // the library would take spiffe://a/b for a
		return spiffeid.TrustDomain{}, fmt.Errorf("read trust domain %q: want a name such as cluster.local", name)
	}
	td, err := spiffeid.TrustDomainFromString(strings.ReplaceAll(name, "@", "."))
	if err != nil {
		return spiffeid.TrustDomain{}, fmt.Errorf("read trust domain %q: %w", name, err)
	}
	return td, nil
}
