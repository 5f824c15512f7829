package mesh

import (
	"crypto/sha256"
	_ "embed" // the word lists
	"encoding/binary"
	"strings"
	"sync"
)

//go:embed words/adjectives.txt
var adjectivesText string

//go:embed words/animals.txt
var animalsText string

// The lists are part of what a name means: a word added, removed or moved renames everything. They are therefore frozen,
// and a test pins a few names.
var (
	adjectives = sync.OnceValue(func() []string { return strings.Fields(adjectivesText) })
	animals    = sync.OnceValue(func() []string { return strings.Fields(animalsText) })
)

// HumanName gives a name that people can say and remember, "jaunty-ferret", for anything that has a fingerprint.
// Equal fingerprints have equal names; different ones may share a name (1 in 1.8 million), see HumanName3.
func HumanName(fingerprint []byte) string {
	first, animal, _ := words(fingerprint)
	return first + "-" + animal
}

// HumanName3 gives the name with a third word in front, "quiet-jaunty-ferret", for showing two things whose HumanName is
// the same.
func HumanName3(fingerprint []byte) string {
	first, animal, second := words(fingerprint)
	return second + "-" + first + "-" + animal
}

// words picks an adjective, an animal and a second adjective that differs from the first.
func words(fingerprint []byte) (first, animal, second string) {
	sum := sha256.Sum256(fingerprint)
	pick := func(at, n int) int { return int(binary.BigEndian.Uint64(sum[at:]) % uint64(n)) }
	adj, ani := adjectives(), animals()
	i, j := pick(0, len(adj)), pick(16, len(adj)-1)
	if j >= i {
		j++
	}
	return adj[i], ani[pick(8, len(ani))], adj[j]
}
