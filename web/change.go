package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/change"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/plan"
	"github.com/oarlock/oarlock/resolve"
)

// draft is a change on its way from what was asked to the files.
type draft struct {
	kind        string // of the answer
	name, what  string
	undoes      string
	resource    *change.Resource // whose rules the answer shows; nil: none
	steps       []mesh.Change    // of objects; nil where whole files are replaced
	apply       api.Apply
	notes       []api.Note
	verify      func(before, after *mesh.Snapshot) error // nil: nothing to hold
	reading     mesh.Reading
	files       []manifest.File
	edits       []manifest.FileEdit
	before      *mesh.Snapshot
	after       *mesh.Snapshot
	newProblems []mesh.Problem // that are not there without the change
	impact      *api.Impact
}

// read takes the manifests as they lie there: what is changed is what is on the disk.
func (a *API) read(ctx context.Context, d *draft) error {
	if a.opt.Writer == nil {
		return wrong(http.StatusForbidden, "change mesh: its manifests cannot be written from here")
	}
	var err error
	if d.reading, d.files, err = a.opt.Mesh.Read(ctx); err != nil {
		return &problem{http.StatusServiceUnavailable, err}
	}
	d.before = d.reading.Snapshot
	return nil
}

// changeMTLS is POST /v1/mtls.
func (a *API) changeMTLS(r *http.Request) (any, error) {
	var ask api.MTLS
	if err := decode(r, "change", &ask); err != nil {
		return nil, err
	}
	verb, err := change.ParseVerb(ask.Verb)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, err}
	}
	resource, err := change.ParseResource(ask.Resource)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, err}
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	d := &draft{kind: "ChangeAnswer", what: verb.String() + " " + resource.String(), resource: &resource, apply: ask.Apply}
	if err := a.read(r.Context(), d); err != nil {
		return nil, err
	}
	p, err := change.MTLS(d.before, verb, resource, change.Options{Clients: ask.Clients})
	if err != nil {
		return nil, unknownResource(err)
	}
	if ask.Clients {
		d.what += " with its clients"
	}
	d.name, d.steps = p.Name, p.Changes
	d.verify = func(before, after *mesh.Snapshot) error { return change.Verify(before, after, p) }
	for _, n := range p.Notes {
		d.notes = append(d.notes, api.Note{Text: n.Text, Try: n.Try})
	}
	for _, c := range p.Conflicts {
		d.notes = append(d.notes, api.Note{Text: conflictWords(d.before, &c), Try: "mtls " + d.what + " --clients"})
	}
	if d.edits, err = manifest.Apply(d.files, p.Changes); err != nil {
		return nil, err
	}
	return a.finish(r, d)
}

// unknownResource turns a refusal of a name that is not there into a 404; its hint goes with it.
func unknownResource(err error) error {
	if e := (*change.Refusal)(nil); errors.As(err, &e) {
		if strings.HasPrefix(e.Reason, "no ") {
			text := e.Error()
			if e.Try != "" {
				text += "; did you mean " + e.Try + "?"
			}
			return wrong(http.StatusNotFound, "%s", text)
		}
	}
	return err
}

// conflictWords say what the change leaves broken.
func conflictWords(s *mesh.Snapshot, c *change.Conflict) string {
	first := ClientName(s, resolve.Client{Workload: c.Clients[0]})
	if n := len(c.Clients) - 1; n > 0 {
		first += fmt.Sprintf(" (+%d)", n)
	}
	rule := "no rule is in force"
	if !c.Rule.IsZero() {
		rule = c.Rule.String() + " is in force"
	}
	return fmt.Sprintf("conflict: %s -> %s: %s; %s", first, c, c.Cause.Clause(resolve.WireRefused, mesh.ClientUnset), rule)
}

// edit is POST /v1/edit.
func (a *API) edit(r *http.Request) (any, error) {
	var ask api.Edit
	if err := decode(r, "edit", &ask); err != nil {
		return nil, err
	}
	if len(ask.Files) == 0 {
		return nil, bad("edit files: none is named")
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	d := &draft{kind: "ChangeAnswer", apply: ask.Apply}
	if err := a.read(r.Context(), d); err != nil {
		return nil, err
	}
	now, named := contents(d.files), map[string]bool{}
	for i := range ask.Files {
		f := &ask.Files[i]
		if err := a.mayEdit(f, d, now); err != nil {
			return nil, err
		}
		if named[f.Name] {
			return nil, bad("edit file %.200q: it is named twice", f.Name)
		}
		named[f.Name] = true
		e := fileEdit(f, now[f.Name])
		if e.After == nil && e.Before == nil || e.After != nil && e.Before != nil && string(e.After) == string(e.Before) {
			continue
		}
		d.edits = append(d.edits, e)
	}
	slices.SortFunc(d.edits, func(x, y manifest.FileEdit) int { return strings.Compare(x.Name, y.Name) })
	if len(d.edits) > 0 {
		d.name = mesh.HumanName([]byte(manifest.Diff(d.edits)))
	}
	return a.finish(r, d)
}

// mayEdit refuses an edit of what is not a manifest, is not as whoever asks has read it, or was never shown to him.
func (a *API) mayEdit(f *api.FileEdit, d *draft, now map[string][]byte) error {
	if err := a.inManifests(f.Name, d.files); err != nil {
		return err
	}
	text, there := now[f.Name]
	switch {
	case there && hidesSecret(f.Name, text, d.before):
		return wrong(http.StatusUnprocessableEntity, "edit file %.200q: it holds a Secret, and is edited on the disk alone", f.Name)
	case there && f.Hash != hashOf(text), !there && f.Hash != "":
		return &mesh.StaleError{Place: f.Name}
	case !there && f.Delete:
		return wrong(http.StatusNotFound, "remove file %.200q: there is none", f.Name)
	}
	return nil
}

// finish says what the edits of a draft do, and makes them if they are wanted.
func (a *API) finish(r *http.Request, d *draft) (*api.ChangeAnswer, error) {
	var problems []mesh.Problem
	d.after, problems = a.opt.Mesh.Load(change.Edited(d.files, d.edits))
	if d.steps != nil && d.after.Dialect != d.before.Dialect {
		// Without its last legacy policy, manifests that do not say their dialect are read as those of today.
		return nil, wrong(http.StatusUnprocessableEntity, "change mesh: the manifests would be read as dialect %s and no longer as %s; "+
			"say which with the annotation oarlock.dev/dialect on the ConfigMap istio", d.after.Dialect, d.before.Dialect)
	}
	d.newProblems = slices.DeleteFunc(problems, func(p mesh.Problem) bool {
		return slices.ContainsFunc(d.reading.Problems, func(k mesh.Problem) bool {
			return k.Severity == p.Severity && k.Ref == p.Ref && k.Origin.File == p.Origin.File && k.Message == p.Message
		})
	})
	if d.verify != nil {
		if err := d.verify(d.before, d.after); err != nil {
			return nil, &problem{http.StatusUnprocessableEntity, err}
		}
	}
	was := resolve.New(d.before)
	d.impact = a.impact(r.Context(), was, was.With(d.after))
	out, err := a.describe(d)
	if err != nil || d.apply.DryRun || len(d.edits) == 0 {
		return out, err
	}
	if err := d.allowed(); err != nil {
		return nil, err
	}
	return out, a.make(r, d, out)
}

// describe is the answer before anything is made.
func (a *API) describe(d *draft) (*api.ChangeAnswer, error) {
	out := &api.ChangeAnswer{Head: head(d.kind), Impact: *d.impact, Notes: d.notes}
	if d.name != "" {
		out.Name = a.journal.next(d.name)
	}
	var withheld []string
	out.Diffs, withheld = shownDiffs(d.edits, d.before, d.after)
	for _, name := range withheld {
		out.Notes = append(out.Notes, api.Note{Text: name + " changes too; its text is not shown, for it holds a Secret or is very long"})
	}
	if len(d.newProblems) > 0 {
		out.Problems = Problems(d.newProblems)
	}
	if d.resource != nil {
		rules, err := change.InForce(d.after, *d.resource)
		if err != nil {
			return nil, unknownResource(err)
		}
		for i := range rules {
			out.Rules = append(out.Rules, ruleOf(&rules[i], *d.resource))
		}
	}
	return out, nil
}

// allowed refuses what would break the manifests, and what would break connections that somebody makes unless whoever asks
// agrees to that.
func (d *draft) allowed() error {
	for _, p := range d.newProblems {
		if p.Severity == mesh.Error {
			return wrong(http.StatusUnprocessableEntity, "change manifests: %s", p.Error())
		}
	}
	if d.apply.Yes {
		return nil
	}
	n, first := 0, ""
	for i := range d.impact.Effects {
		if e := &d.impact.Effects[i]; e.Kind == plan.Breaks && plan.Live(e) {
			if n++; n == 1 {
				first = e.Text
			}
		}
	}
	if n > 0 {
		word := "connections"
		if n == 1 {
			word = "connection"
		}
		return wrong(http.StatusConflict, "change mesh: %d %s that somebody makes would break (%s); agree with yes", n, word, first)
	}
	return nil
}

// make writes the edits and lets the mesh take them. What the mesh holds back is put back as it was.
func (a *API) make(r *http.Request, d *draft, out *api.ChangeAnswer) error {
	// Once writing has begun it is brought to an end, whoever goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerTime)
	defer cancel()
	who := &announcement{at: time.Now(), name: d.name, what: d.what, undoes: d.undoes, files: map[string]string{}, impact: d.impact}
	who.steps = stepsOf(d.steps)
	who.who, who.user = caller(r)
	hashes := map[string]string{}
	for _, e := range d.edits {
		who.files[e.Name] = hashOf(e.After)
		if e.After != nil {
			hashes[e.Name] = hashOf(e.After)
		}
	}
	a.look(ctx) // so that what others did before is not taken for part of this
	a.announce(who)
	a.opt.Mesh.Expect(hashes)
	if err := a.write(ctx, d); err != nil {
		a.journal.withdraw(who)
		return err
	}
	taken, err := a.opt.Mesh.Reload(ctx)
	if err != nil {
		return fmt.Errorf("change mesh: it is written, and not confirmed: %w", err)
	}
	if taken.Held != "" {
		a.journal.withdraw(who)
		return errors.Join(wrong(http.StatusUnprocessableEntity, "change mesh: it was not taken, and is put back: %s", taken.Held), a.putBack(ctx, d))
	}
	a.look(ctx)
	out.Applied, out.Snapshot = true, taken.Snapshot
	if who.made != nil {
		out.Name = who.made.Name
	}
	return nil
}

// write puts the edits on the disk, by objects where these are known: the Writer then holds that each is as it was read.
func (a *API) write(ctx context.Context, d *draft) error {
	if d.steps != nil {
		return a.opt.Writer.Write(ctx, d.reading.Precondition, d.steps)
	}
	return a.opt.Writer.WriteFiles(ctx, d.reading.Precondition, d.edits)
}

// putBack undoes what was written.
func (a *API) putBack(ctx context.Context, d *draft) error {
	_, files, err := a.opt.Mesh.Read(ctx)
	if err != nil {
		return err
	}
	pre, back, now := mesh.Precondition{}, []manifest.FileEdit(nil), contents(files)
	for _, f := range files {
		pre[f.Name] = hashOf(f.Data)
	}
	for _, e := range d.edits {
		if text, there := now[e.Name]; there != (e.After != nil) || !bytes.Equal(text, e.After) {
			return &mesh.StaleError{Place: e.Name} // somebody has gone on from there
		}
		back = append(back, manifest.FileEdit{Name: e.Name, Before: e.After, After: e.Before})
	}
	if err := a.opt.Writer.WriteFiles(ctx, pre, back); err != nil {
		return err
	}
	_, err = a.opt.Mesh.Reload(ctx)
	return err
}

// undo is POST /v1/undo.
func (a *API) undo(r *http.Request) (any, error) {
	var ask api.Undo
	if err := decode(r, "undo", &ask); err != nil {
		return nil, err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.look(context.WithoutCancel(r.Context()))
	e := a.journal.one(ask.Name)
	if e == nil {
		return nil, wrong(http.StatusNotFound, "undo change %.80q: there is none of that name", ask.Name)
	}
	d := &draft{kind: "ChangeAnswer", what: "undo " + e.Name + " (" + e.What + ")", undoes: e.Name, apply: ask.Apply}
	if err := a.read(r.Context(), d); err != nil {
		return nil, err
	}
	var why string
	if d.edits, d.steps, why = e.reverse(d.files, d.before); why != "" {
		return nil, wrong(http.StatusConflict, "undo change %s: %s", e.Name, why)
	}
	if len(d.edits) > 0 {
		d.name = mesh.HumanName([]byte(manifest.Diff(d.edits)))
	}
	return a.finish(r, d)
}

// reverse gives the edits that take a change back, or says why there are none. Files that are as the change left them get
// their bytes back; else the objects of the change are set back where they are as it left them.
func (e *entry) reverse(files []manifest.File, s *mesh.Snapshot) ([]manifest.FileEdit, []mesh.Change, string) {
	now := contents(files)
	var edits []manifest.FileEdit
	stale := ""
	for i := range e.Diffs {
		d := &e.Diffs[i]
		text, there := now[d.Name]
		if string(text) != d.After || there != (d.After != "") {
			stale = filepath.Base(d.Name)
			break
		}
		back := manifest.FileEdit{Name: d.Name, Before: text}
		if d.Before != "" {
			back.After = []byte(d.Before)
		}
		edits = append(edits, back)
	}
	switch {
	case stale == "" && len(e.Withheld) == 0 && len(edits) > 0:
		return edits, nil, ""
	case len(e.Steps) > 0:
		return e.reverseSteps(files, s)
	case len(e.Withheld) > 0:
		return nil, nil, "the text of " + filepath.Base(e.Withheld[0]) + " was not kept"
	case stale != "":
		return nil, nil, stale + " was changed since"
	}
	return nil, nil, "it says not which files it changed"
}

// reverseSteps sets objects back.
func (e *entry) reverseSteps(files []manifest.File, s *mesh.Snapshot) ([]manifest.FileEdit, []mesh.Change, string) {
	known := policies(s)
	var steps []mesh.Change
	for _, one := range slices.Backward(e.Steps) {
		c, err := one.change()
		if err != nil {
			return nil, nil, err.Error()
		}
		back := mesh.Change{Op: mesh.Update, Ref: c.Ref, Origin: known[c.Ref].Origin, Before: c.After, After: c.Before, Why: "undo " + e.Name}
		switch {
		case c.Op == mesh.Delete:
			back.Op = mesh.Create
		case known[c.Ref].body == nil || !reflect.DeepEqual(known[c.Ref].body, c.After):
			return nil, nil, c.Ref.String() + " was changed since"
		case c.Op == mesh.Create:
			back.Op = mesh.Delete
		}
		steps = append(steps, back)
	}
	edits, err := manifest.Apply(files, steps)
	if err != nil {
		return nil, nil, err.Error()
	}
	return edits, steps, ""
}

// changes is GET /v1/changes.
func (a *API) changes(r *http.Request) (any, error) {
	limit, err := intParam(r, "limit", 50, 1, 200)
	if err != nil {
		return nil, err
	}
	a.look(context.WithoutCancel(r.Context()))
	list, more, known := a.journal.page(r.FormValue("before"), limit)
	if !known {
		return nil, wrong(http.StatusNotFound, "list changes before %.80q: there is none of that name", r.FormValue("before"))
	}
	return &api.Changes{Head: head("Changes"), Changes: a.shown(list), More: more}, nil
}

// shown says of each change whether it can be undone now.
func (a *API) shown(list []*entry) []api.Change {
	out := make([]api.Change, 0, len(list))
	n := a.opt.Mesh.Now()
	for _, e := range list {
		switch {
		case a.opt.Writer == nil:
			e.UndoProblem = "manifests cannot be written from here"
		default:
			_, _, e.UndoProblem = e.reverse(n.Files, n.Taken)
		}
		e.Undo = e.UndoProblem == ""
		out = append(out, e.Change)
	}
	return out
}
