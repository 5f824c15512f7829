package web

import (
	"testing"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

func TestWhatWords(t *testing.T) {
	one, two := mesh.Ref{Kind: mesh.KindPeerAuthentication, Namespace: "shop", Name: "default"}, mesh.Ref{Kind: mesh.KindDestinationRule, Name: "all"}
	all := func(refs ...mesh.Ref) map[mesh.Ref]policy {
		out := map[mesh.Ref]policy{}
		for _, r := range refs {
			out[r] = policy{}
		}
		return out
	}
	file := func(before, after string) manifest.FileEdit {
		return manifest.FileEdit{Name: "a.yaml", Before: []byte(before), After: []byte(after)}
	}
	for _, c := range []struct {
		want    string
		changed []mesh.Ref
		edits   []manifest.FileEdit
		was, is map[mesh.Ref]policy
	}{
		{"add PeerAuthentication shop/default", []mesh.Ref{one}, []manifest.FileEdit{file("x", "xy")}, all(two), all(one, two)},
		{"remove DestinationRule all", []mesh.Ref{two}, []manifest.FileEdit{file("x", "")}, all(two), all()},
		{"edit DestinationRule all", []mesh.Ref{two}, []manifest.FileEdit{file("", "x")}, all(two), all(two)},
		{"add 2 policies", []mesh.Ref{one, two}, []manifest.FileEdit{file("", "x")}, all(), all(one, two)},
		{"remove 2 policies", []mesh.Ref{one, two}, []manifest.FileEdit{file("x", "")}, all(one, two), all()},
		{"edit 2 policies", []mesh.Ref{one, two}, []manifest.FileEdit{file("x", "y")}, all(one), all(two)},
		{"add a.yaml", nil, []manifest.FileEdit{file("", "x")}, all(), all()},
		{"remove a.yaml", nil, []manifest.FileEdit{file("x", "")}, all(), all()},
		{"edit a.yaml", nil, []manifest.FileEdit{file("x", "y")}, all(), all()},
		{"edit 2 files", nil, []manifest.FileEdit{file("x", ""), file("", "x")}, all(), all()},
	} {
		if got := whatWords(c.changed, c.edits, c.was, c.is); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
