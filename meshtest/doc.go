// Package meshtest holds what tests of several packages need: a mesh from text, golden files, and the contract suite that
// every pair of a [mesh.Source] and a [mesh.Writer] must pass. No code but tests may import it.
//
//	snap := meshtest.Snapshot(t, "kind: Namespace\n...", mesh.DialectCurrent)
//	meshtest.Golden(t, "testdata/want.txt", got) // go test -update writes it
//	meshtest.SourceWriter(t, func(t *testing.T, initial string) (mesh.Source, mesh.Writer) { ... })
package meshtest
