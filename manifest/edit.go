package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// FileEdit is what becomes of one file. Before is nil for a file that is created, After for one that is removed.
type FileEdit struct {
	Name          string
	Before, After []byte
}

// RefusedError says that a change cannot be written into the text without touching more than was asked, or that the
// outcome could not be verified. Nothing was changed.
type RefusedError struct {
	Op     mesh.Op
	Ref    mesh.Ref
	Origin mesh.Origin
	Reason string // `the value comes through a YAML alias; ...`
}

// Error gives "OP REF in FILE:LINE:COL: REASON".
func (e *RefusedError) Error() string {
	text := e.Op.String() + " " + e.Ref.String()
	if at := e.Origin.String(); at != "" {
		text += " in " + at
	}
	return text + ": " + e.Reason
}

// Apply computes what the files become when the changes are made, in the order given. Only the bytes of what changes are
// touched: comments, blank lines, order, quotes and indentation elsewhere stay as they are. The edits come in order of
// name; a file that stays the same is not among them, and neither files nor changes are modified.
//
// Every edit is parsed again and must give the object that was asked for, with every other object of the file unchanged.
// The error is a *RefusedError where that cannot be had, and a *mesh.StaleError where the files do not hold the object as
// Change.Before has it.
//
// A Create goes into the file that its Origin names, which need not exist; where it names none, into the file that holds
// objects of the same namespace and kind, or else into a new file beside the others of the namespace.
//
// Undoing: a Create followed by the Delete of the same object gives the bytes back. So does an Update followed by its
// inverse, unless the first removed or replaced something whose spelling a tree does not have: a comment that belonged to
// a removed key, the layout and order of removed entries, a number such as 0x1F, quotes around a value that is not a string,
// a plain string replaced by one that needs quotes.
func Apply(files []File, changes []mesh.Change) ([]FileEdit, error) {
	w := newDesk(files)
	for _, c := range changes {
		if err := w.apply(c); err != nil {
			return nil, err
		}
	}
	return w.edits(), nil
}

// desk holds the files while they are edited.
type desk struct {
	files  []File // as given
	drafts map[string]*draft
}

// draft is a file with the edits so far.
type draft struct {
	name   string
	before []byte // nil: there is no such file
	text   []byte // nil: there is none any more, or not yet
	shifts []shift
}

// shift says that an edit moved the lines after one by some. Positions of later changes are those of the file as it was
// read.
type shift struct{ line, by int }

func newDesk(files []File) *desk {
	w := &desk{files: files, drafts: make(map[string]*draft, len(files))}
	for _, f := range files {
		w.drafts[f.Name] = &draft{name: f.Name, before: notNil(f.Data), text: notNil(f.Data)}
	}
	return w
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (w *desk) edits() []FileEdit {
	var out []FileEdit
	for _, d := range w.drafts {
		if bytes.Equal(d.before, d.text) && (d.before == nil) == (d.text == nil) {
			continue
		}
		out = append(out, FileEdit{Name: d.name, Before: d.before, After: d.text})
	}
	slices.SortFunc(out, func(a, b FileEdit) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (w *desk) apply(c mesh.Change) error {
	refuse := func(err error) error {
		if err == nil {
			return nil
		}
		if stale := (*mesh.StaleError)(nil); errors.As(err, &stale) {
			return err
		}
		return &RefusedError{Op: c.Op, Ref: c.Ref, Origin: c.Origin, Reason: err.Error()}
	}
	if c.Op == mesh.Create {
		name, err := w.place(&c)
		if err != nil {
			return refuse(err)
		}
		c.Origin = mesh.Origin{File: name}
		return refuse(w.create(name, &c))
	}
	d := w.drafts[c.Origin.File]
	if d == nil || d.text == nil {
		return &mesh.StaleError{Place: place(&c)}
	}
	at, err := d.find(&c)
	if err != nil {
		return refuse(err)
	}
	if c.Op == mesh.Delete && at.item < 0 {
		return refuse(d.delete(at))
	}
	return refuse(d.update(at, c.After))
}

// place names an object with its file, for a StaleError.
func place(c *mesh.Change) string {
	if c.Origin.File == "" {
		return c.Ref.String()
	}
	return c.Origin.File + " (" + c.Ref.String() + ")"
}

// target is where an object stands in a draft.
type target struct {
	pieces []piece
	piece  int
	*parsed
	item int // of a List, -1 where the document is the object
	line int // of the file
}

// tree is the object as it is.
func (t *target) tree() any {
	if t.item < 0 {
		return t.parsed.tree
	}
	return listItems(t.parsed.tree)[t.item]
}

// find looks for the object of a change. Where several objects have its name, the one that is as the change says and
// stands nearest to its origin is meant.
func (d *draft) find(c *mesh.Change) (*target, error) {
	line := c.Origin.Line
	for _, s := range d.shifts {
		if line > s.line {
			line += s.by
		}
	}
	pieces := cut(d.text)
	best := d.nearest(pieces, c, line, []byte(c.Ref.Name))
	if best == nil { // a name may be written with escapes
		best = d.nearest(pieces, c, line, nil)
	}
	switch {
	case best != nil:
		return best, nil
	case d.unreadable(pieces, []byte(c.Ref.Name)):
		return nil, errScan
	}
	return nil, &mesh.StaleError{Place: place(c)}
}

// unreadable says whether a document with some bytes in it cannot be parsed by itself: several JSON values without a
// separator, for example, are read as several documents but cannot be edited.
func (d *draft) unreadable(pieces []piece, with []byte) bool {
	return slices.ContainsFunc(pieces, func(p piece) bool {
		text := d.text[p.start:p.end]
		if !p.content || !bytes.Contains(text, with) {
			return false
		}
		_, err := parseDocument(text)
		return err != nil
	})
}

// nearest looks in the documents whose text has some bytes.
func (d *draft) nearest(pieces []piece, c *mesh.Change, line int, with []byte) *target {
	var best *target
	for i, p := range pieces {
		text := d.text[p.start:p.end]
		if !p.content || !bytes.Contains(text, with) {
			continue
		}
		doc, err := parseDocument(text)
		if err != nil {
			continue // not the object: it could not have been read either
		}
		for _, t := range doc.targets(pieces, i, c.Ref) {
			if sameTree(t.tree(), c.Before) && (best == nil || distanceOf(t.line, line) < distanceOf(best.line, line)) {
				best = t
			}
		}
	}
	return best
}

func distanceOf(a, b int) int { return max(a-b, b-a) }

// targets lists the objects of a document that have a name.
func (doc *parsed) targets(pieces []piece, i int, ref mesh.Ref) []*target {
	var out []*target
	if matches(doc.tree, ref) {
		out = append(out, &target{pieces, i, doc, -1, pieces[i].line + doc.line(-1) - 1})
	}
	for k, item := range listItems(doc.tree) {
		if matches(item, ref) {
			out = append(out, &target{pieces, i, doc, k, pieces[i].line + doc.line(k) - 1})
		}
	}
	return out
}

// update writes another tree in the place of an object, or takes an item out of a List where after is nil.
func (d *draft) update(t *target, after mesh.Tree) error {
	want := t.parsed.tree
	if t.item < 0 {
		want = any(after)
	} else {
		want = withItem(want, t.item, after)
	}
	p := t.pieces[t.piece]
	text, restore := d.closed(p.start, p.end)
	edited, err := editDocument(text, want)
	if err != nil {
		return err
	}
	// A block scalar may need the line break that was added: what is written is what must read as wanted.
	if bare := restore(edited); reads(bare, want) {
		edited = bare
	}
	d.shift(t.line, bytes.Count(edited, []byte("\n"))-bytes.Count(text, []byte("\n")))
	next := slices.Concat(d.text[:p.start], edited, d.text[p.end:])
	if err := d.sameOthers(next, t.pieces, t.piece, true); err != nil {
		return err
	}
	d.text = next
	return nil
}

// editDocument edits the one document of a text into another tree, and verifies the outcome.
func editDocument(text []byte, want any) ([]byte, error) {
	if oddBreaks(text) {
		return nil, errBreaks
	}
	doc, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	e := &editor{source: newSource(text), style: styleOf(doc.root)}
	if err := e.change(cell{node: doc.root, indent: -1}, doc.tree, want); err != nil {
		return nil, err
	}
	edited, err := e.result()
	if err != nil {
		return nil, err
	}
	if !reads(edited, want) {
		return nil, doc.blame(text)
	}
	return edited, nil
}

// reads says whether the one document of a text is read as a tree.
func reads(text []byte, want any) bool {
	got, err := parseDocument(text)
	return err == nil && sameTree(got.tree, want)
}

// closed gives the text of a piece with a line break at its end, and what takes that away again if it was not there.
func (d *draft) closed(start, end int) ([]byte, func([]byte) []byte) {
	text := d.text[start:end]
	if bytes.HasSuffix(text, []byte("\n")) || len(text) == 0 {
		return text, func(b []byte) []byte { return b }
	}
	eol := d.eol()
	return slices.Concat(text, eol), func(b []byte) []byte { return bytes.TrimSuffix(b, eol) }
}

// eol is the line break that the file uses.
func (d *draft) eol() []byte {
	if bytes.Contains(d.text, []byte("\r\n")) {
		return []byte("\r\n")
	}
	return []byte("\n")
}

func (d *draft) shift(line, by int) { d.shifts = append(d.shifts, shift{line, by}) }

var (
	errBreaks = errors.New("the document has line breaks other than LF and CRLF")
	errOthers = errors.New("the edit would change a neighbouring document")
)

// sameOthers verifies that the text next has all documents of the draft but one, which may be there in another form
// (replaced) or not at all. A document whose bytes are the same is the same; only next to a removed or added document may a
// comment, a line break or a separator come or go.
func (d *draft) sameOthers(next []byte, old []piece, but int, replaced bool) error {
	was, is := contents(old, but), contents(cut(next), -1)
	if replaced {
		at := len(contents(old[:but], -1))
		if at >= len(is) {
			return errOthers
		}
		is = slices.Delete(is, at, at+1)
	}
	if len(was) != len(is) {
		return errOthers
	}
	for i := range was {
		a, b := d.text[was[i].start:was[i].end], next[is[i].start:is[i].end]
		if bytes.Equal(a, b) || !replaced && bytes.Equal(a[was[i].sep:], b) {
			continue
		}
		x, errX := parseDocument(a)
		y, errY := parseDocument(b)
		if replaced || errX != nil || errY != nil || !sameTree(x.tree, y.tree) {
			return errOthers
		}
	}
	return nil
}

// contents lists the pieces that hold a document, without the one at an index.
func contents(pieces []piece, but int) []piece {
	var out []piece
	for i, p := range pieces {
		if p.content && i != but {
			out = append(out, p)
		}
	}
	return out
}

// create appends an object to a file as a document of its own, or to the List that a JSON file holds.
func (w *desk) create(name string, c *mesh.Change) error {
	d := w.drafts[name]
	if d == nil {
		d = &draft{name: name}
		w.drafts[name] = d
	}
	if jsonFile(name) {
		return d.createJSON(c.After)
	}
	old := cut(d.text)
	eol := d.eol()
	doc := bytes.ReplaceAll(Marshal(c.After), []byte("\n"), eol)
	next := slices.Clone(d.text)
	switch {
	case len(bytes.TrimSpace(bytes.TrimPrefix(d.text, []byte(byteOrderMark)))) == 0:
		next = append(next, doc...)
	default:
		text, restore := d.closed(0, len(d.text))
		next = restore(slices.Concat(text, []byte("---"), eol, doc))
	}
	return d.added(next, old, c.After)
}

// added verifies that next has the documents of the draft and one more at its end, and takes it.
func (d *draft) added(next []byte, old []piece, after mesh.Tree) error {
	pieces := cut(next)
	last := len(pieces) - 1
	if last < 0 || !pieces[last].content {
		return errOutcome
	}
	doc, err := parseDocument(next[pieces[last].start:])
	if err != nil || !sameTree(doc.tree, after) {
		return errOutcome
	}
	if err := d.sameOthers(next[:pieces[last].start], old, -1, false); err != nil {
		return err
	}
	d.text = next
	return nil
}

var errOutcome = errors.New("the object cannot be written as YAML")

// createJSON writes an object into a JSON file: a new one, or one that holds a List.
func (d *draft) createJSON(after mesh.Tree) error {
	pieces := contents(cut(d.text), -1)
	if len(pieces) == 0 {
		st := style{step: 2, json: true}
		return d.added([]byte(st.flowText(after, true, 0)+"\n"), nil, after)
	}
	doc, err := parseDocument(d.text)
	if err != nil {
		return err
	}
	items := listItems(doc.tree)
	if items == nil {
		return fmt.Errorf("a JSON file has no place for a second object; name another file")
	}
	t := &target{pieces: cut(d.text), piece: 0, parsed: doc, item: len(items)}
	return d.update(t, after)
}

// delete removes a document with one separator and the comments that belong to it: those directly above and those
// deeper below. Other comments stay. A file without documents and comments is gone.
func (d *draft) delete(t *target) error {
	p := t.pieces[t.piece]
	text, _ := d.closed(p.start, p.end)
	kept, err := keptComments(text, t.parsed)
	if err != nil {
		return err
	}
	separated, end := isMarker(text, "---"), p.end
	if !separated && t.piece+1 < len(t.pieces) {
		end += t.pieces[t.piece+1].sep // the separator that is left would stand above the first document
	}
	next := d.without(p.start, end, kept)
	err = d.sameOthers(next, t.pieces, t.piece, false)
	if err != nil && len(kept) > 0 { // a comment cannot join a broken document: the separator stays with it
		if separated {
			kept = slices.Concat(text[:nextLine(text, 0)], kept)
		}
		next = d.without(p.start, p.end, kept)
		err = d.sameOthers(next, t.pieces, t.piece, false)
	}
	if err != nil {
		return err
	}
	d.shift(t.line, bytes.Count(next, []byte("\n"))-bytes.Count(d.text, []byte("\n")))
	if d.text = next; len(contents(cut(next), -1)) == 0 && !hasComment(next) {
		d.text = nil
	}
	return nil
}

// without gives the text with something else from start to end, and without a line break at its end if it had none.
func (d *draft) without(start, end int, instead []byte) []byte {
	next := slices.Concat(d.text[:start], instead, d.text[end:])
	if end == len(d.text) && !bytes.HasSuffix(d.text, []byte("\n")) {
		next = bytes.TrimSuffix(next, d.eol())
	}
	return next
}

// keptComments gives the lines with comments of a document's piece that outlive the document.
func keptComments(text []byte, doc *parsed) ([]byte, error) {
	s := newSource(text)
	sp, err := s.span(doc.root, -1, false)
	if err != nil {
		return nil, err
	}
	start := 0
	if isMarker(text, "---") {
		start = nextLine(text, 0)
	}
	top := max(start, s.commentsAbove(sp.whole, -1))
	var kept []byte
	for _, part := range [][]byte{text[start:top], text[s.linesBelow(sp.end, 0):]} {
		if hasComment(part) {
			kept = append(kept, part...)
		}
	}
	return kept, nil
}

// hasComment says whether a text without documents has a comment.
func hasComment(text []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte(byteOrderMark))) {
		if line = bytes.TrimLeft(line, " \t"); len(line) > 0 && line[0] == '#' {
			return true
		}
	}
	return false
}
