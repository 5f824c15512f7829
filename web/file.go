package web

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// contents gives files by name.
func contents(files []manifest.File) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		out[f.Name] = f.Data
	}
	return out
}

// changedFiles names the files that are not the same in both.
func changedFiles(before, after []manifest.File) map[string]bool {
	old, out := contents(before), map[string]bool{}
	for _, f := range after {
		if was, there := old[f.Name]; !there || !bytes.Equal(was, f.Data) {
			out[f.Name] = true
		}
		delete(old, f.Name)
	}
	for name := range old {
		out[name] = true
	}
	return out
}

// editsBetween gives what became of the files of these names, in order of name.
func editsBetween(before, after []manifest.File, names map[string]bool) []manifest.FileEdit {
	old, fresh := contents(before), contents(after)
	var out []manifest.FileEdit
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, manifest.FileEdit{Name: name, Before: old[name], After: fresh[name]})
	}
	return out
}

// shownDiffs shows edits, and names those whose text is withheld: they hold a Secret, before or after, or are too large.
func shownDiffs(edits []manifest.FileEdit, snaps ...*mesh.Snapshot) (out []api.Diff, withheld []string) {
	out = []api.Diff{}
	for _, e := range edits {
		if len(e.Before)+len(e.After) > maxDiffText || hidesSecret(e.Name, e.Before, snaps...) || hidesSecret(e.Name, e.After, snaps...) {
			withheld = append(withheld, e.Name)
			continue
		}
		out = append(out, api.Diff{Name: e.Name, Before: string(e.Before), After: string(e.After), Unified: unified(e)})
	}
	return out, withheld
}

// unified shows an edit as patch takes it in the root folder.
func unified(e manifest.FileEdit) string {
	e.Name = strings.TrimPrefix(e.Name, "/")
	return manifest.Diff([]manifest.FileEdit{e})
}

// secretFiles are the files that hold a Secret in one of the snapshots: their text never leaves the control plane.
func secretFiles(snaps ...*mesh.Snapshot) map[string]bool {
	out := map[string]bool{}
	for _, s := range snaps {
		for _, secret := range s.Secrets {
			out[secret.Origin.File] = true
		}
	}
	return out
}

// hidesSecret says whether the text of a file may hold a Secret: one that can be read, or one in a document that cannot.
func hidesSecret(name string, text []byte, snaps ...*mesh.Snapshot) bool {
	if secretFiles(snaps...)[name] {
		return true
	}
	for line := range bytes.Lines(text) {
		if _, kind, ok := bytes.Cut(line, []byte("kind")); ok && bytes.Contains(kind, []byte("Secret")) {
			return true
		}
		if word := bytes.Trim(line, " \t\r\n\"',"); bytes.HasPrefix(word, []byte("Secret")) {
			return true // the kind may stand on a line of its own
		}
	}
	return false
}

// policy is an object that decides about TLS.
type policy struct {
	mesh.Object
	body mesh.Tree
}

// policies are those of a snapshot, by name.
func policies(s *mesh.Snapshot) map[mesh.Ref]policy {
	out := map[mesh.Ref]policy{}
	for _, p := range s.PeerAuthentications {
		out[p.Ref] = policy{p.Object, p.Body}
	}
	for _, p := range s.Policies {
		out[p.Ref] = policy{p.Object, p.Body}
	}
	for _, r := range s.DestinationRules {
		out[r.Ref] = policy{r.Object, r.Body}
	}
	return out
}

// changedPolicies names the policies in some files that are not the same in both snapshots.
func changedPolicies(before, after *mesh.Snapshot, names map[string]bool) []mesh.Ref {
	old, fresh := policies(before), policies(after)
	var out []mesh.Ref
	for ref, p := range fresh {
		was, there := old[ref]
		if (names[p.Origin.File] || there && names[was.Origin.File]) && (!there || !reflect.DeepEqual(was.body, p.body)) {
			out = append(out, ref)
		}
	}
	for ref, p := range old {
		if _, there := fresh[ref]; !there && names[p.Origin.File] {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, mesh.Ref.Compare)
	return out
}

// file is GET /v1/file.
func (a *API) file(r *http.Request) (any, error) {
	name := r.FormValue("name")
	reading, files, err := a.opt.Mesh.Read(r.Context())
	if err != nil {
		return nil, &problem{http.StatusServiceUnavailable, err}
	}
	i := slices.IndexFunc(files, func(f manifest.File) bool { return f.Name == name })
	if i < 0 {
		return nil, wrong(http.StatusNotFound, "read file %.200q: it is none of the mesh's manifests", name)
	}
	out := &api.ManifestFile{Head: head("ManifestFile"), Name: name, Hash: hashOf(files[i].Data), Text: string(files[i].Data),
		Objects: objectsIn(reading.Snapshot, func(o *api.ObjectEntry) bool { return o.File == name }), Problems: []api.Problem{}}
	for _, p := range Problems(reading.Problems) {
		if p.Origin.File == name {
			out.Problems = append(out.Problems, p)
		}
	}
	if hidesSecret(name, files[i].Data, reading.Snapshot) {
		out.Text, out.Secret = "", true
	}
	return out, nil
}

// check is POST /v1/check.
func (a *API) check(r *http.Request) (any, error) {
	var ask api.Edit
	if err := decode(r, "files", &ask); err != nil {
		return nil, err
	}
	reading, files, err := a.opt.Mesh.Read(r.Context())
	if err != nil {
		return nil, &problem{http.StatusServiceUnavailable, err}
	}
	mine := map[string]bool{}
	var edits []manifest.FileEdit
	for _, f := range ask.Files {
		if err := a.inManifests(f.Name, files); err != nil {
			return nil, err
		}
		mine[f.Name] = true
		edits = append(edits, fileEdit(&f, nil))
	}
	_, problems := manifest.Load(change.Edited(files, edits), manifest.Options{Dialect: reading.Snapshot.Dialect})
	out := &api.Check{Head: head("Check"), Problems: []api.Problem{}}
	known := Problems(reading.Problems)
	for _, p := range Problems(problems) {
		if mine[p.Origin.File] || !slices.ContainsFunc(known, func(k api.Problem) bool { return sameProblem(&k, &p) }) {
			out.Problems = append(out.Problems, p)
		}
	}
	return out, nil
}

// sameProblem compares problems wherever they stand in their file.
func sameProblem(a, b *api.Problem) bool {
	return a.Severity == b.Severity && a.Message == b.Message && a.Origin.File == b.Origin.File && reflect.DeepEqual(a.Object, b.Object)
}

// inManifests refuses the name of a file that is none of the mesh's manifests, and cannot become one: it lies in none of
// their folders, or would not be read there.
func (a *API) inManifests(name string, files []manifest.File) error {
	if slices.ContainsFunc(files, func(f manifest.File) bool { return f.Name == name }) {
		return nil
	}
	if name == "" || filepath.Clean(name) != name || strings.ContainsRune(name, 0) {
		return bad("write file %.200q: it is no path in plain form", name)
	}
	switch ext := filepath.Ext(name); {
	case ext != ".yaml" && ext != ".yml" && ext != ".json":
		return bad("write file %.200q: a file of manifests ends in .yaml", name)
	case strings.HasPrefix(filepath.Base(name), "."):
		return bad("write file %.200q: hidden files are not read", name)
	}
	// A folder that has manifests already is one that the mesh is read from, and no link can lead elsewhere that did not
	// lead there before.
	dir := filepath.Dir(name)
	if !slices.ContainsFunc(files, func(f manifest.File) bool { return filepath.Dir(f.Name) == dir }) &&
		!slices.Contains(a.opt.Mesh.Status().Manifests, dir) {
		return bad("write file %.200q: it lies in no folder of the mesh's manifests", name)
	}
	return nil
}

// fileEdit is what somebody asks to become of a file.
func fileEdit(f *api.FileEdit, before []byte) manifest.FileEdit {
	e := manifest.FileEdit{Name: f.Name, Before: before}
	if !f.Delete {
		e.After = []byte(f.Text)
		if e.After == nil {
			e.After = []byte{}
		}
	}
	return e
}

// objects is GET /v1/objects.
func (a *API) objects(r *http.Request) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, bad("list objects: %w", err)
	}
	kinds, namespace := r.Form["kind"], r.FormValue("namespace")
	list := objectsIn(a.opt.Mesh.Now().Taken, func(o *api.ObjectEntry) bool {
		return (len(kinds) == 0 || slices.Contains(kinds, o.Kind)) && (namespace == "" || o.Ref.Namespace == namespace)
	})
	return &api.Objects{Head: head("Objects"), Objects: list}, nil
}

// objectsIn lists the objects of a snapshot that want takes, policies and rules first. Of a Secret its name alone is there.
func objectsIn(s *mesh.Snapshot, want func(*api.ObjectEntry) bool) []api.ObjectEntry {
	out := []api.ObjectEntry{}
	add := func(o mesh.Object, summary string) {
		if p := Place(o.Ref, o.Origin); p != nil {
			if one := (api.ObjectEntry{Place: *p, Summary: summary}); want(&one) {
				out = append(out, one)
			}
		}
	}
	for _, p := range s.PeerAuthentications {
		add(p.Object, authenticationWords(p))
	}
	for _, p := range s.Policies {
		add(p.Object, legacyWords(p, s.Dialect))
	}
	for _, r := range s.DestinationRules {
		add(r.Object, destinationWords(r))
	}
	addOthers(s, add)
	seen := map[api.Ref]bool{}
	return slices.DeleteFunc(out, func(o api.ObjectEntry) bool {
		again := seen[o.Ref] // a ServiceEntry is there for each of its hosts, and any object for what of it is not enforced
		seen[o.Ref] = true
		return again
	})
}

// addOthers adds what is no policy, by kind and name.
func addOthers(s *mesh.Snapshot, add func(mesh.Object, string)) {
	var rest []mesh.Object
	for _, o := range s.Sidecars {
		rest = append(rest, o.Object)
	}
	for _, o := range s.VirtualServices {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Gateways {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Services {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Workloads {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Namespaces {
		rest = append(rest, o.Object)
	}
	for _, o := range s.ConfigMaps {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Secrets {
		rest = append(rest, o.Object)
	}
	for _, o := range s.Unenforced {
		rest = append(rest, mesh.Object{Ref: o.Ref, Origin: o.Origin})
	}
	slices.SortStableFunc(rest, func(a, b mesh.Object) int {
		return cmp.Or(kindRank(a.Ref.Kind)-kindRank(b.Ref.Kind), a.Ref.Compare(b.Ref))
	})
	for _, o := range rest {
		add(o, "")
	}
}

// kindRank puts what routes before what runs, and what is merely stored last.
func kindRank(k mesh.Kind) int {
	order := []mesh.Kind{mesh.KindSidecar, mesh.KindVirtualService, mesh.KindGateway, mesh.KindServiceEntry, mesh.KindService}
	if i := slices.Index(order, k); i >= 0 {
		return i
	}
	switch k {
	case mesh.KindNamespace, mesh.KindConfigMap, mesh.KindSecret:
		return len(order) + 1
	}
	return len(order)
}

func authenticationWords(p *mesh.PeerAuthentication) string {
	words := []string{p.Mode.String()}
	for _, port := range p.Ports {
		words = append(words, fmt.Sprintf("port %d ", port.Port)+port.Mode.String())
	}
	if len(p.Selector) > 0 {
		words = append(words, "for "+labelWords(p.Selector))
	}
	return strings.Join(words, ", ")
}

func legacyWords(p *mesh.Policy, d mesh.Dialect) string {
	var words []string
	for _, peer := range p.Peers {
		if peer.MTLS {
			words = append(words, peer.Mode.String())
		}
	}
	if len(words) == 0 {
		words = append(words, change.ModeWord(mesh.ModeDisable, d))
	}
	for _, t := range p.Targets {
		words = append(words, "for "+t.Name)
	}
	return strings.Join(words, ", ")
}

func destinationWords(r *mesh.DestinationRule) string {
	out := "host " + r.Host
	if p := r.TrafficPolicy; p != nil && p.TLS != nil {
		out += ", tls " + p.TLS.Mode.String()
	}
	return out
}

func labelWords(labels map[string]string) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, k+"="+labels[k])
	}
	return strings.Join(words, ",")
}
