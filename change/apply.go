package change

import (
	"fmt"
	"slices"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// Edited gives the files as they are once the edits are made. The files given are not modified.
func Edited(files []manifest.File, edits []manifest.FileEdit) []manifest.File {
	out := slices.Clone(files)
	for _, e := range edits {
		i := slices.IndexFunc(out, func(f manifest.File) bool { return f.Name == e.Name })
		switch {
		case e.After == nil && i >= 0:
			out = slices.Delete(out, i, i+1)
		case e.After == nil:
		case i < 0:
			out = append(out, manifest.File{Name: e.Name, Data: e.After})
		default:
			out[i].Data = e.After
		}
	}
	return out
}

// applied gives the snapshot with the changes made, all else shared with s.
func applied(s *mesh.Snapshot, changes []mesh.Change) (*mesh.Snapshot, error) {
	out := *s
	out.Version = ""
	for _, c := range changes {
		if err := applyOne(&out, c); err != nil {
			return nil, fmt.Errorf("apply %s of %s: %w", c.Op, c.Ref, err)
		}
	}
	return &out, nil
}

func applyOne(s *mesh.Snapshot, c mesh.Change) error {
	parsed := &mesh.Snapshot{}
	if c.After != nil {
		var problems []mesh.Problem
		file := manifest.File{Name: c.Origin.File, Data: manifest.Marshal(c.After)}
		parsed, problems = manifest.Load([]manifest.File{file}, manifest.Options{Dialect: s.Dialect, Lenient: true})
		for _, p := range problems {
			if p.Severity == mesh.Error {
				return fmt.Errorf("the outcome would not be accepted: %s", p.Message)
			}
		}
	}
	switch c.Ref.Kind {
	case mesh.KindPolicy, mesh.KindMeshPolicy:
		s.Policies = replace(s.Policies, parsed.Policies, c, func(p *mesh.Policy) *mesh.Object { return &p.Object })
	case mesh.KindPeerAuthentication:
		s.PeerAuthentications = replace(s.PeerAuthentications, parsed.PeerAuthentications, c, func(p *mesh.PeerAuthentication) *mesh.Object { return &p.Object })
	case mesh.KindDestinationRule:
		s.DestinationRules = replace(s.DestinationRules, parsed.DestinationRules, c, func(p *mesh.DestinationRule) *mesh.Object { return &p.Object })
	}
	return nil
}

// replace exchanges one object in a list that is kept "oldest first".
func replace[T any](list, fresh []T, c mesh.Change, object func(T) *mesh.Object) []T {
	var created mesh.Object
	out := make([]T, 0, len(list)+1)
	for _, o := range list {
		if object(o).Ref == c.Ref {
			created = *object(o)
			continue
		}
		out = append(out, o)
	}
	for _, o := range fresh {
		object(o).Created, object(o).Origin = created.Created, c.Origin
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b T) int { return object(a).Older(object(b)) })
	return out
}
