// Package manifest turns Kubernetes and Istio YAML into mesh objects, and changes to mesh objects back into edits of that
// YAML.
//
// Reading is one call:
//
//	snap, problems := manifest.Load(files, manifest.Options{})
//
// A file is cut into documents, each document is parsed by itself, checked against a table of the fields of its kind and
// taken in; then services are joined with workloads, sidecar injection is predicted, and everything is put in order.
// A document that cannot be read becomes a [mesh.Problem] with its position, and its neighbours still load. Values follow
// sigs.k8s.io/yaml, so `y` and `on` are booleans, as they are for kubectl.
//
// The package does no I/O: it gets bytes with names and gives values. What a policy means is package resolve, and which
// files of a directory count is package yamldir.
package manifest
