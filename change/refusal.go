package change

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Refusal is why a change is not made. Nothing has been written.
type Refusal struct {
	Resource Resource
	Reason   string // a clause
	Try      string // a resource to name instead; "" where there is nothing to propose
}

// Error gives "change mTLS of RESOURCE: reason".
func (e *Refusal) Error() string { return fmt.Sprintf("change mTLS of %s: %s", e.Resource, e.Reason) }

// refuse makes a Refusal without a proposal.
func refuse(r Resource, format string, args ...any) *Refusal {
	return &Refusal{Resource: r, Reason: fmt.Sprintf(format, args...)}
}

// unknown makes the Refusal for a name that is not there. with gives the resource with another name in its place.
func unknown(r Resource, kind, name string, known []string, with func(string) Resource) error {
	if len(known) == 0 {
		return refuse(r, "no %s %q, nor any other", kind, name)
	}
	e := refuse(r, "no %s %q; there is %s", kind, name, some(known, 6))
	if near := nearest(name, known); near != "" {
		e.Try = with(near).String()
	}
	return e
}

// some lists names for a sentence, not endlessly.
func some(names []string, most int) string {
	if n := len(names); n > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(names, ", ")
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nearest gives the name that is most like the one typed, "" where none is.
func nearest(name string, known []string) string {
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k); d <= least {
			if d < least || best == "" {
				best, least = k, d
			}
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if name != "" && (strings.HasPrefix(k, name) || strings.HasPrefix(name, k)) {
			return k
		}
	}
	return ""
}

// distance counts the letters to insert, drop or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
