// Package mesh holds the nouns: workloads, services, policies and rules, the immutable [Snapshot] that carries all of
// them, and the seams [Source] and [Writer] through which a Snapshot comes in and a [Change] goes out.
//
// A [Ref] names one object and an [Origin] says where it was read; both travel with every verdict, so that an answer can
// always be walked back to a file and a line. Types follow the words of Kubernetes and Istio. Only fields that bear on
// mutual TLS are typed; policies and rules also keep their whole Body, so that an edit loses nothing.
//
// The package has no behaviour beyond small look-ups: reading YAML is package manifest, meaning is package resolve. It
// imports nothing else of this module.
package mesh
