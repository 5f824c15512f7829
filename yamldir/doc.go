// Package yamldir is a mesh that lives in files: it reads folders, files and standard input as a [mesh.Source] and writes
// changes back as a [mesh.Writer].
//
//	dir, err := yamldir.Open([]string{"examples/bookinfo"}, yamldir.Options{})
//	reading, err := dir.Read(ctx)
//	// ... compute changes from reading.Snapshot
//	err = dir.Write(ctx, reading.Precondition, changes)
//
// A path is a file, a folder or "-". A folder is read with all folders in it: files that end in .yaml, .yml or .json count,
// hidden ones do not, links are followed but no file is read twice. A file in which no document has an apiVersion or a
// kind (a chart's values, say) is left out with one warning; a file named by itself is always read. Kustomizations are not
// applied, and a warning says so where it matters.
//
// Names in Origins and preconditions are the path as given joined with the way down from there. The precondition is the
// SHA-256 of each file. Write compares it immediately before it renames the new files into place, under a lock that other
// writers of this package respect; an editor that saves within those microseconds is the one writer that it cannot see.
//
// Watch says when it is time to Read again, by the system's notices or, where there are none, by looking from time to time.
//
// What the documents mean, and how a change becomes an edit of the text, is package manifest.
package yamldir
