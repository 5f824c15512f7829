package resolve

import "github.com/oarlock/oarlock/mesh"

// Word gives the SERVER column's word in a dialect (semantics L43).
func (s Server) Word(d mesh.Dialect) string {
	if d.Legacy() && d < mesh.Dialect14 {
		return map[Server]string{ServerDisable: "HTTP", ServerPermissive: "HTTP/mTLS", ServerStrict: "mTLS", ServerMixed: "MIXED"}[s]
	}
	return s.String()
}

// ClientWord gives the CLIENT column's word in a dialect (semantics L44).
func ClientWord(m mesh.ClientMode, d mesh.Dialect) string {
	switch {
	case !d.Legacy() || d == mesh.Dialect14:
		return m.String()
	case m == mesh.ClientIstioMutual:
		return "mTLS"
	case d == mesh.Dialect11:
		return "HTTP"
	case m == mesh.ClientSimple:
		return "TLS"
	case m == mesh.ClientMutual:
		return "custom mTLS"
	}
	return "HTTP"
}

// RefWord gives the name of a policy or rule as the AUTHN POLICY and DESTINATION RULE columns print it in a dialect:
// name/namespace up to 1.3 ("default/" for a mesh policy), namespace/name from 1.4 on ("/default"), "-" for none
// (semantics L41, L42). rootNamespace is where PeerAuthentications of mesh scope live; pass "" for rules.
func RefWord(r mesh.Ref, d mesh.Dialect, rootNamespace string) string {
	if r.IsZero() {
		return "-"
	}
	ns := r.Namespace
	if r.Kind == mesh.KindPeerAuthentication && rootNamespace != "" && ns == rootNamespace {
		ns = ""
	}
	if d.Legacy() && d < mesh.Dialect14 {
		return r.Name + "/" + ns
	}
	return ns + "/" + r.Name
}
