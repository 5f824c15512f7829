package xdsclient

import (
	"crypto/sha256"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// parts are what pieces of a listener became: filter chains, filters, transport sockets and logs, by their bytes. The next
// version of the resource takes those over that it has too, and a piece that it has several times is translated once. A
// policy changes few chains of a listener, and of those what they match, seldom what they do.
type parts map[partKey]*part

// partKey is what a piece is, and a hash of its bytes.
type partKey struct {
	what string
	hash [sha256.Size]byte
}

// part is a translated piece, with what it leaves out and the pieces in it. It is immutable.
type part struct {
	value   any
	ignored []string
	inner   []partKey
}

// fewParts are too few to be worth their memory: an outbound listener has two chains or three, with a filter each.
const fewParts = 8

// once translates a piece, or gives what the same bytes became before.
func once[T any](t *translation, what string, b []byte, do func() (T, error)) (T, error) {
	key := partKey{what, sha256.Sum256(b)}
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
		t.keep(key, &part{out, slices.Clone(t.ignored[ignored:]), slices.Clone(t.kept[kept:])})
	}
	return out, err
}

func (t *translation) known(key partKey) (*part, bool) {
	p, ok := t.parts[key]
	if !ok {
		p, ok = t.before[key]
	}
	return p, ok
}

func (t *translation) keep(key partKey, p *part) {
	if t.parts == nil {
		t.parts = make(parts, len(t.before))
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

// Numbers of fields that are pieces.
const (
	fieldChains   = 3
	fieldLogs     = 22
	fieldDefault  = 25
	fieldMatch    = 1
	fieldMetadata = 5
	fieldFilters  = 3
	fieldSocket   = 6
)

// cut takes fields out of an encoded message: for each number the bytes of its values, in order, and all the rest. What
// cannot be read is all rest: whoever decodes it says why.
func cut(b []byte, numbers ...protowire.Number) (found [][][]byte, rest []byte) {
	found = make([][][]byte, len(numbers))
	for left := b; len(left) > 0; {
		n, typ, w := protowire.ConsumeTag(left)
		if w < 0 {
			return make([][][]byte, len(numbers)), b
		}
		size := protowire.ConsumeFieldValue(n, typ, left[w:])
		if size < 0 {
			return make([][][]byte, len(numbers)), b
		}
		if i := slices.Index(numbers, n); i >= 0 && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(left[w:])
			found[i] = append(found[i], value)
		} else {
			rest = append(rest, left[:w+size]...)
		}
		left = left[w+size:]
	}
	return found, rest
}

// rawFields is fields for a message whose bytes are at hand: where it has nothing but fields whose numbers are among the bits
// of plain, all of which are obeyed, that is seen without asking for each field of its kind.
func (t *translation) rawFields(b []byte, plain uint64, m proto.Message, obeyed, harmless string) error {
	for len(b) > 0 {
		n, typ, w := protowire.ConsumeTag(b)
		if w < 0 || n >= 64 || plain&(1<<n) == 0 {
			return t.fields(m, obeyed, harmless)
		}
		size := protowire.ConsumeFieldValue(n, typ, b[w:])
		if size < 0 {
			return t.fields(m, obeyed, harmless)
		}
		b = b[w+size:]
	}
	return nil
}

// one gives the value of a field that is there once at most. Of a message that is there in several pieces the values belong
// together, one after the other.
func one(values [][]byte) []byte {
	if len(values) == 1 {
		return values[0]
	}
	return slices.Concat(values...)
}
