package manifest

import (
	"bytes"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

var (
	errExists = errors.New("there is such an object already")
	errNoFile = errors.New("no file can take it: name one")
)

func jsonFile(name string) bool { return strings.EqualFold(path.Ext(name), ".json") }

// place chooses the file for a new object.
func (w *desk) place(c *mesh.Change) (string, error) {
	if c.After == nil {
		return "", errOutcome
	}
	name := c.Origin.File
	switch d := w.drafts[name]; {
	case name == "":
		if name = w.chooseFile(c.Ref); name == "" {
			return "", errNoFile
		}
	case d != nil && c.Origin.Line > 0 && jsonFile(name) && !d.holdsList():
		name = w.freeName(name, c.Ref) // beside it, since the file has no place for two
	}
	if d := w.drafts[name]; d != nil && d.holds(c.Ref) {
		return "", errExists
	}
	return name, nil
}

// holdsList says whether the draft is one List.
func (d *draft) holdsList() bool {
	doc, err := parseDocument(d.text)
	return err == nil && listItems(doc.tree) != nil
}

// holds says whether the draft has an object of that name.
func (d *draft) holds(ref mesh.Ref) bool {
	if !bytes.Contains(d.text, []byte(ref.Name)) {
		return false
	}
	found := false
	d.objects(func(tree any) { found = found || matches(tree, ref) })
	return found
}

// objects calls f for every object of the draft.
func (d *draft) objects(f func(tree any)) {
	for _, p := range cut(d.text) {
		if !p.content {
			continue
		}
		doc, err := parseDocument(d.text[p.start:p.end])
		if err != nil {
			continue
		}
		if items := listItems(doc.tree); items != nil {
			for _, item := range items {
				f(item)
			}
			continue
		}
		f(doc.tree)
	}
}

// chooseFile finds the file for an object that may stand anywhere: the one with the most objects of its namespace and
// kind; the only file; a new one in the folder with the most objects of its namespace; a new one in a folder named like
// the namespace. Ties go to the first name.
func (w *desk) chooseFile(ref mesh.Ref) string {
	names := w.names()
	if len(names) == 1 && !jsonFile(names[0]) {
		return names[0]
	}
	best, most, folder, folderMost := "", 0, "", 0
	folders := map[string]int{}
	for _, name := range names {
		kinds, all := w.drafts[name].census(ref)
		if kinds > most && !jsonFile(name) {
			best, most = name, kinds
		}
		folders[path.Dir(name)] += all
		if n := folders[path.Dir(name)]; all > 0 && n > folderMost {
			folder, folderMost = path.Dir(name), n
		}
	}
	switch {
	case best != "":
		return best
	case len(names) == 0:
		return ""
	case folder == "":
		folder = path.Join(commonFolder(names), ref.Namespace)
	}
	return w.freeName(path.Join(folder, "x"+w.extension(folder)), ref)
}

// names lists the files that are there, in order. Standard input is no place for a new object unless it is the only one.
func (w *desk) names() []string {
	var out []string
	for name, d := range w.drafts {
		if d.text != nil && (name != "-" || len(w.drafts) == 1) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// census counts the objects of a namespace, and those of the same kind among them.
func (d *draft) census(ref mesh.Ref) (kinds, all int) {
	if !bytes.Contains(d.text, []byte(ref.Namespace)) || ref.Namespace == "" && !bytes.Contains(d.text, []byte(ref.Kind)) {
		return 0, 0
	}
	d.objects(func(tree any) {
		kind, ns, _ := nameOf(tree)
		switch {
		case ns != ref.Namespace && (ns != "" || ref.Namespace != "default"):
		case ref.Namespace == "" && kind != string(ref.Kind): // objects without a namespace have nothing else in common
		case kind == string(ref.Kind):
			kinds++
			all++
		default:
			all++
		}
	})
	return kinds, all
}

// freeName gives the name of a new file for an object, in the folder and with the extension of another. It says the
// namespace where the folder does not.
func (w *desk) freeName(beside string, ref mesh.Ref) string {
	folder, ext := path.Dir(beside), path.Ext(beside)
	stem := strings.ToLower(string(ref.Kind)) + "-" + ref.Name
	if ref.Namespace != "" && path.Base(folder) != ref.Namespace {
		stem = ref.Namespace + "-" + stem
	}
	stem = path.Join(folder, stem)
	name := stem + ext
	for i := 2; w.drafts[name] != nil; i++ {
		name = stem + "-" + strconv.Itoa(i) + ext
	}
	return name
}

// extension gives ".yml" where that is how the folder's YAML files end.
func (w *desk) extension(folder string) string {
	for _, name := range w.names() {
		if ext := path.Ext(name); path.Dir(name) == folder && (ext == ".yaml" || ext == ".yml") {
			return ext
		}
	}
	return ".yaml"
}

// commonFolder is the deepest folder that holds all files.
func commonFolder(names []string) string {
	common := path.Dir(names[0])
	for _, name := range names[1:] {
		for dir := path.Dir(name); common != "." && common != "/" && dir != common && !strings.HasPrefix(dir, common+"/"); {
			common = path.Dir(common)
		}
	}
	return common
}
