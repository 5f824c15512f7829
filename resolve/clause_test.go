package resolve

import (
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestEveryCauseHasAClause keeps the machine's words out of sentences for people: no cause that a connection can have goes without
// a clause of its own.
func TestEveryCauseHasAClause(t *testing.T) {
	for c := CauseMatch; c < CausePort; c++ {
		if _, ok := clauses[c]; ok == (c == CauseMatch || c == CauseAuto) {
			t.Errorf("cause %s: in the table %v", c, ok)
		}
		for w := WirePlaintext; w <= WireUnknown; w++ {
			for _, sends := range []mesh.ClientMode{mesh.ClientUnset, mesh.ClientDisable} {
				text := c.Clause(w, sends)
				if len(text) < 15 || strings.HasSuffix(text, ".") || strings.ToLower(text[:1]) != text[:1] {
					t.Errorf("cause %s on wire %s is told as %q", c, w, text)
				}
			}
		}
	}
}
