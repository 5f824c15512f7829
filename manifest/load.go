package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/oarlock/oarlock/mesh"
)

// File is one file of manifests. Name is how the user would name it, "-" for standard input; it appears in every Origin.
type File struct {
	Name string
	Data []byte
}

// Options say how to read manifests.
type Options struct {
	// Dialect is the generation of Istio to read for; mesh.DialectAuto finds it out: the annotation oarlock.dev/dialect of
	// the ConfigMap istio decides, else legacy policies without a PeerAuthentication are 1.4, else it is the current one.
	Dialect mesh.Dialect
	// Lenient takes in what the API server's admission would refuse, with a warning in place of the error.
	Lenient bool
}

// Load reads manifests. It never fails as a whole: what could not be read is among the problems, errors first, then by
// position, and an error means that its object is missing from the Snapshot. The result does not depend on the order of
// files; of two objects with one name the first counts, by name of file and then by line.
func Load(files []File, opt Options) (*mesh.Snapshot, []mesh.Problem) {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.Data, b.Data))
	})
	b := &builder{opt: opt}
	var chunks []chunk
	for _, f := range files {
		found, p := splitFile(f)
		if p != nil {
			b.problems = append(b.problems, *p)
		}
		chunks = append(chunks, found...)
	}
	documents := decodeAll(chunks)
	for i := range documents {
		b.add(&documents[i])
	}
	b.build()
	b.snap.Version = contentHash(documents, b.snap.Dialect, opt)
	return b.snap, sortProblems(b.problems)
}

// decoded is what one chunk came to.
type decoded struct {
	objects  []object
	problems []mesh.Problem
	hash     [sha256.Size]byte
}

// batchSize is how many documents a worker takes at a time: enough to make taking them cheap, few enough to share well.
const batchSize = 32

// decodeAll reads documents on all processors. Each result stands at the index of its chunk.
func decodeAll(chunks []chunk) []decoded {
	out := make([]decoded, len(chunks))
	var next atomic.Int64
	var workers errgroup.Group
	for range min(runtime.GOMAXPROCS(0), 1+len(chunks)/batchSize) {
		workers.Go(func() error {
			for {
				end := int(next.Add(batchSize))
				if end-batchSize >= len(chunks) {
					return nil
				}
				for i := end - batchSize; i < min(end, len(chunks)); i++ {
					out[i].objects, out[i].problems = decodeChunk(chunks[i])
					out[i].hash = sha256.Sum256(chunks[i].data)
				}
			}
		})
	}
	_ = workers.Wait() // no worker gives an error
	return out
}

// contentHash is the same for the same documents, in whatever files and order they stand.
func contentHash(documents []decoded, d mesh.Dialect, opt Options) string {
	hashes := make([][sha256.Size]byte, len(documents))
	for i := range documents {
		hashes[i] = documents[i].hash
	}
	slices.SortFunc(hashes, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	h.Write([]byte{byte(d), boolByte(opt.Lenient)})
	for i := range hashes {
		h.Write(hashes[i][:])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// sortProblems puts errors first, then goes by position. A template of Helm is told once for each file.
func sortProblems(problems []mesh.Problem) []mesh.Problem {
	slices.SortStableFunc(problems, func(a, b mesh.Problem) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Origin.File, b.Origin.File),
			cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Col, b.Origin.Col),
			cmp.Compare(a.Message, b.Message))
	})
	template := ""
	return slices.DeleteFunc(problems, func(p mesh.Problem) bool {
		if p.Message != templateMessage(p.Origin.File) {
			return false
		}
		again := template == p.Message
		template = p.Message
		return again
	})
}
