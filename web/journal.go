package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// Bounds of the journal.
const (
	changesKept     = 500      // in memory
	changeBytes     = 16 << 20 // of their files, in memory
	maxDiffText     = 256 << 10
	maxEffects      = 100
	announcedFor    = 10 * time.Second
	maxAnnouncement = 32
)

// Who makes changes.
const (
	whoDashboard = "dashboard"
	whoCommand   = "command line"
	whoFiles     = "files"
)

// Headers that say who asks.
const userHeader = "Oarlock-User"

// journal has the changes of policy, newest last, and writes them to the audit log.
type journal struct {
	mu        sync.Mutex
	log       *auditLog // nil: in memory alone
	list      []*entry
	added     uint64 // how many came into the list
	announced []*announcement
	replaced  map[string]uint64 // places of tokens of which a newer one is in the list, by name; bounded
}

// entry is a change with what undoing it needs.
type entry struct {
	api.Change
	// Steps are the changes of objects that made it, where they are known.
	Steps []step `json:"steps,omitempty"`
	// Withheld are files that changed and hold Secrets, or are too large: their text is not kept.
	Withheld []string `json:"withheld,omitempty"`
	place    uint64   // how many came into the list until it did
}

// step is a change of one object, as the audit log keeps it.
type step struct {
	Op     string          `json:"op"`
	Ref    mesh.Ref        `json:"ref"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

func stepsOf(list []mesh.Change) []step {
	var out []step
	for _, c := range list {
		one := step{Op: c.Op.String(), Ref: c.Ref}
		var err error
		if one.Before, err = json.Marshal(c.Before); err != nil {
			return nil // a tree that JSON has no form for cannot be undone by its objects
		}
		if one.After, err = json.Marshal(c.After); err != nil {
			return nil
		}
		out = append(out, one)
	}
	return out
}

// change gives the step back.
func (s *step) change() (mesh.Change, error) {
	c := mesh.Change{Ref: s.Ref}
	for c.Op = mesh.Create; c.Op.String() != s.Op; c.Op++ {
		if c.Op == mesh.Delete {
			return c, fmt.Errorf("read step: %q is no operation", s.Op)
		}
	}
	var err error
	if c.Before, err = treeOf(s.Before); err == nil {
		c.After, err = treeOf(s.After)
	}
	return c, err
}

// treeOf reads a tree with the numbers that a Tree has.
func treeOf(text []byte) (mesh.Tree, error) {
	if len(text) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var out mesh.Tree
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("read step: %w", err)
	}
	tree, _ := numbers(out).(map[string]any)
	return tree, nil
}

// numbers puts int64 and float64 in the place of what JSON has.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	}
	return v
}

// size is about how many bytes the entry holds.
func (e *entry) size() int {
	n := 1 << 10
	for i := range e.Diffs {
		n += len(e.Diffs[i].Before) + len(e.Diffs[i].After) + len(e.Diffs[i].Unified)
	}
	return n
}

// announcement is a change that was just written: who did so. It waits for the mesh to take it. Its name, if it has one, is
// kept for it.
type announcement struct {
	at                      time.Time
	name                    string
	who, user, what, undoes string
	files                   map[string]string // hash of what each file shall be, by name; "" is removed
	steps                   []step
	impact                  *api.Impact
	made                    *entry // once it is found
}

// openJournal reads the audit log, and goes on writing it. "" is none.
func openJournal(path string) (*journal, error) {
	j := &journal{}
	if path == "" {
		return j, nil
	}
	log, err := openAudit(path)
	if err != nil {
		return nil, err
	}
	j.log = log
	err = log.read(j.replay)
	j.trim()
	return j, err
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.log == nil {
		return nil
	}
	return j.log.close()
}

// retry writes what could not be written before, and says whether there was something and all of it is written now.
func (j *journal) retry() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.log != nil && j.log.trouble != nil && j.log.flush() == nil
}

// unwritten is why something is not in the audit log yet; nil where all is.
func (j *journal) unwritten() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.log == nil {
		return nil
	}
	return j.log.trouble
}

// problem says what is wrong with the audit log; "" is nothing.
func (j *journal) problem() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.log == nil {
		return ""
	}
	return j.log.problem()
}

// replay takes a line of the audit log.
func (j *journal) replay(r *record) {
	switch {
	case r.Change != nil:
		j.put(r.Change)
		if len(j.list) > 2*changesKept {
			j.trim()
		}
	case r.InForce != nil:
		if e := j.find(r.InForce.Name); e != nil {
			e.InForce, e.Sidecars = r.InForce.At, r.InForce.Sidecars
		}
	case r.By != nil:
		if e := j.find(r.By.Name); e != nil {
			e.Who, e.User, e.What = r.By.Who, r.By.User, r.By.What
		}
	}
}

// put makes a change the newest. The caller holds mu.
func (j *journal) put(e *entry) {
	j.added++
	e.place = j.added
	j.list = append(j.list, e)
}

// find gives the change of a name, nil where there is none. The caller holds mu.
func (j *journal) find(name string) *entry {
	for _, e := range slices.Backward(j.list) {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// tokenFor begins what is done when a token is issued; its workload follows.
const tokenFor = "issue token for "

// trim forgets the oldest, and of the tokens of a workload all but the newest: timers ask for them all day, which would else drive
// every other change out. The caller holds mu.
func (j *journal) trim() {
	var keep []*entry
	total, tokens := 0, map[string]bool{}
	for _, e := range slices.Backward(j.list) {
		if e.token() {
			if tokens[e.What] {
				j.replace(e)
				continue
			}
			tokens[e.What] = true
		}
		if total += e.size(); len(keep) > 0 && (total > changeBytes || len(keep) >= changesKept) {
			break
		}
		keep = append(keep, e)
	}
	slices.Reverse(keep)
	j.list = keep
}

// token says whether the change is that a token was issued.
func (e *entry) token() bool {
	return strings.HasPrefix(e.What, tokenFor) && len(e.Diffs)+len(e.Withheld) == 0
}

// replace remembers where a token was that leaves the list, for whoever reads that page by page. The caller holds mu.
func (j *journal) replace(e *entry) {
	if j.replaced == nil || len(j.replaced) > 4*changesKept {
		j.replaced = map[string]uint64{}
	}
	j.replaced[e.Name] = e.place
}

// announce says that files were just written, and who did. Where the mesh has taken them already, the change gets its
// author now, and a copy of it comes back.
func (j *journal) announce(a *announcement) (amended *entry, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.list) {
		if a.at.Sub(e.At) > announcedFor {
			break
		}
		if e.Who == whoFiles && a.covers(e.Diffs) {
			e.Who, e.User, e.What = a.who, a.user, cmp.Or(a.what, e.What)
			e.Steps = a.steps
			c := *e
			return &c, j.write(&record{By: &author{Name: e.Name, Who: e.Who, User: e.User, What: e.What}})
		}
	}
	j.announced = slices.DeleteFunc(j.announced, func(o *announcement) bool { return a.at.Sub(o.at) > announcedFor })
	if len(j.announced) >= maxAnnouncement {
		j.announced = j.announced[1:]
	}
	if a.name != "" {
		a.name = j.free(a.name)
	}
	j.announced = append(j.announced, a)
	return nil, nil
}

// withdraw takes an announcement back: its files were not written after all.
func (j *journal) withdraw(a *announcement) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.announced = slices.DeleteFunc(j.announced, func(o *announcement) bool { return o == a })
}

// covers says whether the announcement is of just these files.
func (a *announcement) covers(diffs []api.Diff) bool {
	if len(diffs) != len(a.files) {
		return false
	}
	for i := range diffs {
		if want, ok := a.files[diffs[i].Name]; !ok || want != hashOf([]byte(diffs[i].After)) {
			return false
		}
	}
	return true
}

// claim finds the announcement of which all files are as it says, one of them changed just now, and forgets it.
func (j *journal) claim(now time.Time, files map[string][]byte, changed map[string]bool) *announcement {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, a := range j.announced {
		any := false
		for name := range a.files {
			any = any || changed[name]
		}
		if !any || now.Sub(a.at) > announcedFor || !a.matches(files) {
			continue
		}
		j.announced = slices.Delete(j.announced, i, i+1)
		return a
	}
	return nil
}

// matches compares the files that the announcement names with those that there are.
func (a *announcement) matches(files map[string][]byte) bool {
	for name, want := range a.files {
		if hashOf(files[name]) != want {
			return false
		}
	}
	return true
}

// next is the name that a change gets whose content has this one: it, or where it is taken the first of a row that depends on
// nothing else, so that a dry run can say it.
func (j *journal) next(name string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.free(name)
}

// free finds a name that no change has, and none that was announced. The caller holds mu.
func (j *journal) free(name string) string {
	taken := make(map[string]bool, len(j.list))
	for _, e := range j.list {
		taken[e.Name] = true
	}
	for _, a := range j.announced {
		taken[a.name] = true
	}
	out := name
	for n := 1; taken[out]; n++ {
		out = mesh.HumanName3(fmt.Appendf(nil, "%s %d", name, n))
	}
	return out
}

// add names a change and writes it down: e is the journal's from then on, but for its name. A name is by content; where it is
// taken, the change gets another.
func (j *journal) add(e *entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Name == "" {
		e.Name = mesh.HumanName([]byte(e.What + e.At.String()))
	}
	e.Name = j.free(e.Name)
	if len(e.Impact.Effects) > maxEffects {
		e.Impact.Effects = e.Impact.Effects[:maxEffects]
	}
	j.put(e)
	j.trim()
	return j.write(&record{Change: e})
}

// pending are the versions of changes that are not in force everywhere yet, by name.
func (j *journal) pending() map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := map[string]string{}
	for _, e := range j.recent() {
		if e.InForce.IsZero() && e.Snapshot != "" {
			out[e.Name] = e.Snapshot
		}
	}
	return out
}

// recent are the newest changes that can be in force, newest first: tokens, of which there may be many, are no policy. The caller holds
// mu.
func (j *journal) recent() []*entry {
	var out []*entry
	for _, e := range slices.Backward(j.list) {
		if len(out) == maxAnnouncement {
			break
		}
		if !e.token() {
			out = append(out, e)
		}
	}
	return out
}

// inForce says that a change is in force on so many sidecars.
func (j *journal) inForce(name string, at time.Time, sidecars int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.find(name)
	if e == nil {
		return nil
	}
	e.InForce, e.Sidecars = at, sidecars
	return j.write(&record{InForce: &enforcement{Name: name, At: at, Sidecars: sidecars}})
}

// adopt gives changes that were found before anything was published the version of what is.
func (j *journal) adopt(version string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.recent() {
		if e.Snapshot == "" && e.InForce.IsZero() && len(e.Diffs)+len(e.Withheld) > 0 {
			e.Snapshot = version
		}
	}
}

// knows says whether the newest change of a file left it as it is.
func (j *journal) knows(name string, text []byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range slices.Backward(j.list) {
		for i := range e.Diffs {
			if e.Diffs[i].Name == name {
				return e.Diffs[i].After == string(text)
			}
		}
	}
	return false
}

// before gives files as they were before the change; false where its text was not kept. Of a file in which something else was
// changed since, that is gone too: it was no policy, or there is a change for it.
func (e *entry) before(files []manifest.File) ([]manifest.File, bool) {
	now := contents(files)
	for i := range e.Diffs {
		d := &e.Diffs[i]
		delete(now, d.Name)
		if d.Before != "" {
			now[d.Name] = []byte(d.Before)
		}
	}
	out := make([]manifest.File, 0, len(now))
	for _, name := range slices.Sorted(maps.Keys(now)) {
		out = append(out, manifest.File{Name: name, Data: now[name]})
	}
	return out, len(e.Withheld) == 0
}

// write appends to the audit log. The caller holds mu.
func (j *journal) write(r *record) error {
	if j.log == nil {
		return nil
	}
	return j.log.append(r)
}

// page gives copies of the changes before the one of a name, newest first.
func (j *journal) page(before string, limit int) (out []*entry, more, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	end := len(j.list)
	if before != "" {
		end = slices.IndexFunc(j.list, func(e *entry) bool { return e.Name == before })
		if at, ok := j.replaced[before]; ok && end < 0 {
			end = slices.IndexFunc(j.list, func(e *entry) bool { return e.place >= at }) // its workload's newest is later, and there
		}
		if end < 0 {
			return nil, false, false
		}
	}
	for _, e := range slices.Backward(j.list[:end]) {
		if len(out) == limit {
			return out, true, true
		}
		c := *e
		out = append(out, &c)
	}
	return out, false, true
}

// one gives a copy of the change of a name, nil where there is none.
func (j *journal) one(name string) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.find(name); e != nil {
		c := *e
		return &c
	}
	return nil
}

// caller says who asks, as the headers have it. Only whoever may open the socket gets here, and may say what he likes.
func caller(r *http.Request) (who, user string) {
	who = whoCommand
	if r.Header.Get(clientHeader) == whoDashboard {
		who = whoDashboard
	}
	return who, line(r.Header.Get(userHeader), 100)
}

// line makes one line of at most so many runes of a text that somebody sent.
func line(s string, most int) string {
	out := []rune(strings.ToValidUTF8(s, ""))
	out = slices.DeleteFunc(out, func(c rune) bool { return unicode.IsControl(c) })
	if len(out) > most {
		out = out[:most]
	}
	return string(out)
}

// humanName is what names of changes look like.
var humanName = regexp.MustCompile(`^[a-z]{3,10}(-[a-z]{3,10}){1,2}$`)

// announcementOf is that of a program which wrote files itself.
func announcementOf(r *http.Request, wrote *api.Wrote) *announcement {
	a := &announcement{at: time.Now(), what: line(wrote.What, 200), files: map[string]string{}}
	if humanName.MatchString(wrote.Name) {
		a.name = wrote.Name
	}
	a.who, a.user = caller(r)
	for name, hash := range wrote.Files {
		a.files[name] = hash
	}
	for _, name := range wrote.Removed {
		a.files[name] = ""
	}
	return a
}

// hashOf is the hash of a file's content, "" of none.
func hashOf(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
