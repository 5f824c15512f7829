package xdsclient

import (
	"crypto/sha256"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// parts are what pieces of a resource became: filter chains, filters and transport sockets, by their bytes. The next
// version of the resource takes those over that it has too, and a piece that it has several times is translated once. A
// policy changes few chains of a listener, and of those what they match, seldom what they do.
type parts map[partKey]part

// partKey is a hash of what a piece is and of its bytes.
type partKey [sha256.Size]byte

// part is a translated piece, with what it leaves out and the pieces in it. It is immutable.
type part struct {
	value   any
	ignored []string
	inner   []partKey
}

// fewParts are too few to be worth their memory: an outbound listener has a chain or two, with a filter each.
const fewParts = 4

// once translates a piece, or gives what the same bytes became before.
func once[T any](t *translation, what string, b []byte, do func() (T, error)) (T, error) {
	h := sha256.New()
	h.Write([]byte(what))
	h.Write([]byte{0})
	h.Write(b)
	var key partKey
	h.Sum(key[:0])
	if have, ok := t.known(key); ok {
		for _, in := range have.inner {
			if p, ok := t.known(in); ok {
				t.keep(in, p)
			}
		}
		t.keep(key, have)
		t.ignored = append(t.ignored, have.ignored...)
		return have.value.(T), nil
	}
	ignored, kept := len(t.ignored), len(t.kept)
	out, err := do()
	if err == nil {
		t.keep(key, part{out, slices.Clone(t.ignored[ignored:]), slices.Clone(t.kept[kept:])})
	}
	return out, err
}

func (t *translation) known(key partKey) (part, bool) {
	p, ok := t.parts[key]
	if !ok {
		p, ok = t.before[key]
	}
	return p, ok
}

func (t *translation) keep(key partKey, p part) {
	if t.parts == nil {
		t.parts = parts{}
	}
	t.parts[key] = p
	t.kept = append(t.kept, key)
}

// worthKeeping gives the parts for the next version of the resource.
func (t *translation) worthKeeping() parts {
	if len(t.parts) <= fewParts {
		return nil
	}
	return t.parts
}

// fieldChains is Listener.filter_chains.
const fieldChains = 3

// splitListener gives the bytes of each filter chain, and the listener without them. What cannot be split is all rest:
// whoever decodes it says why.
func splitListener(b []byte) (chains [][]byte, rest []byte) {
	for left := b; len(left) > 0; {
		n, typ, w := protowire.ConsumeTag(left)
		if w < 0 {
			return nil, b
		}
		size := protowire.ConsumeFieldValue(n, typ, left[w:])
		if size < 0 {
			return nil, b
		}
		if n == fieldChains && typ == protowire.BytesType {
			chain, _ := protowire.ConsumeBytes(left[w:])
			chains = append(chains, chain)
		} else {
			rest = append(rest, left[:w+size]...)
		}
		left = left[w+size:]
	}
	return chains, rest
}
