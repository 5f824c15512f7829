package yamldir

import (
	"context"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// WriteFiles puts whole files in place, or removes them, with the promises of Write: all or none, links stay links, and a
// file that is not what pre says is a *mesh.StaleError. Whether a name is one of the Dir's is for the caller to know.
func (d *Dir) WriteFiles(ctx context.Context, pre mesh.Precondition, edits []manifest.FileEdit) error {
	return d.put(ctx, pre, edits)
}

// Load reads files as Read reads those of the Dir.
func (d *Dir) Load(files []manifest.File) (*mesh.Snapshot, []mesh.Problem) {
	return manifest.Load(files, manifest.Options{Dialect: d.opt.Dialect, Lenient: d.opt.Lenient})
}
