package web

import (
	"context"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Mesh is the control plane of a mesh, as its API needs it. Its methods may be called from any goroutine.
type Mesh interface {
	// Now is what is in force.
	Now() *Now
	// Acknowledged gives a channel that is closed when what the sidecars have may be another.
	Acknowledged() <-chan struct{}
	// Coverage counts the sidecars that have a version, or one after it, and Have names their pods; false says that the
	// version is not known. "" is the newest.
	Coverage(version string) (api.Coverage, bool)
	Have(version string) (map[mesh.Ref]bool, bool)
	// LetPass waits until the sidecars that are connected have what is published, for a moment at most.
	LetPass(ctx context.Context)

	Status() *api.Status
	Manifests() *api.Manifests
	// Read reads the manifests as they lie there now; Expect says that some were just written, with these hashes.
	Read(ctx context.Context) (mesh.Reading, []manifest.File, error)
	// Load reads files as Read would.
	Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem)
	Expect(hashes map[string]string)
	// Reload looks at the manifests, takes them if they may be taken, and says what came of it.
	Reload(ctx context.Context) (*api.Reload, error)
	// Sync waits until a version, or one after it, is in force everywhere; nil says that the version is not known. "" is the
	// newest.
	Sync(ctx context.Context, version string) *api.Sync
	CA() *api.CA
	// Rotate takes a step of a rotation, as api.Rotate says.
	Rotate(r api.Rotate) error
	// Token issues a token for a workload with a sidecar that the mesh has. The error is a [Refusal].
	Token(r api.TokenRequest) (*api.Token, error)
}

// Now is a mesh at one moment. It is immutable. A Mesh tells [API.Took] each one, in order.
type Now struct {
	Number   uint64          // grows with each one
	Taken    *mesh.Snapshot  // of the manifests that were taken
	Files    []manifest.File // that it was read from
	Problems []mesh.Problem  // likewise
	// Held says why the manifests as they are on the disk are not in force; "" where they are.
	Held    string
	Running *mesh.Running // nil before the engine has answered
	// Published is Taken with what runs; nil before anything is. At is when it was published.
	Published *resolve.Resolver
	At        time.Time

	once     sync.Once
	declared *resolve.Resolver
}

// Declared is the resolver of the manifests alone: its workloads are those of the manifests, whatever runs of them.
func (n *Now) Declared() *resolve.Resolver {
	n.once.Do(func() { n.declared = resolve.New(n.Taken) })
	return n.declared
}

// resolver knows the pods that run, where it is known what runs.
func (n *Now) resolver() *resolve.Resolver {
	if n.Published != nil {
		return n.Published
	}
	return n.Declared()
}

// version is that of what is published; "" before anything is.
func (n *Now) version() string {
	if n.Published == nil {
		return ""
	}
	return n.Published.Snapshot().Version
}

// Writer puts changes where the Source of a mesh finds them.
type Writer interface {
	mesh.Writer
	// WriteFiles puts whole files in place, or none of them, with the promises of Write.
	WriteFiles(ctx context.Context, pre mesh.Precondition, edits []manifest.FileEdit) error
}
