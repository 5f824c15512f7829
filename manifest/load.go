package manifest

import "github.com/oarlock/oarlock/mesh"

// File is one file of manifests. Name is how the user would name it, "-" for standard input; it appears in every Origin.
type File struct {
	Name string
	Data []byte
}

// Options say how to read manifests.
type Options struct {
	// Dialect is the generation of Istio to read for; mesh.DialectAuto finds it out (see Load).
	Dialect mesh.Dialect
	// Lenient takes in what the API server's admission would refuse, with a warning in place of the error.
	Lenient bool
}

// Load reads manifests. It never fails as a whole: what could not be read is among the problems, errors first, then by
// position, and an error means that its object is missing from the Snapshot. The result does not depend on the order of
// files.
func Load(files []File, opt Options) (*mesh.Snapshot, []mesh.Problem) {
	return &mesh.Snapshot{Config: mesh.DefaultConfig(), Dialect: mesh.DialectCurrent, Unknown: map[string]int{}}, nil
}
