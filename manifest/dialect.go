package manifest

import "github.com/oarlock/oarlock/mesh"

// chooseDialect gives the dialect that the user named, else that of the annotation on the mesh's ConfigMap, else what the
// objects speak: legacy kinds without a PeerAuthentication are 1.4, anything else is the current one.
func (b *builder) chooseDialect(wanted mesh.Dialect) mesh.Dialect {
	if wanted != mesh.DialectAuto {
		return wanted
	}
	if b.config != nil && b.config.dialect != mesh.DialectAuto {
		return b.config.dialect
	}
	if b.count[mesh.KindPeerAuthentication] == 0 && b.count[mesh.KindPolicy]+b.count[mesh.KindMeshPolicy] > 0 {
		return mesh.Dialect14
	}
	return mesh.DialectCurrent
}

// foreignKind warns about a policy that the dialect does not know.
func (b *builder) foreignKind(o *mesh.Object) {
	d := b.snap.Dialect
	switch legacy := o.Ref.Kind != mesh.KindPeerAuthentication; {
	case legacy && !d.Legacy():
		b.warn(o, "write it as a PeerAuthentication, or read the mesh with --dialect 1.4",
			"%s has no effect in the current dialect", o.Ref.Kind)
	case !legacy && d.Legacy():
		b.warn(o, "read the mesh with --dialect current", "PeerAuthentication has no effect in dialect %s", d)
	}
}
