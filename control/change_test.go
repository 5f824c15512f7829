package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/metrics"
)

// refused wants an error of a status whose message has some words.
func refused(t *testing.T, err error, status int, words string) {
	t.Helper()
	var e *api.RefusedError
	if !errors.As(err, &e) || e.Status != status || !strings.Contains(e.Message, words) {
		t.Errorf("got %v, want %d with %q", err, status, words)
	}
}

// changes waits for so many changes.
func (r *rig) changes(n int) []api.Change {
	r.Helper()
	var list []api.Change
	r.until(fmt.Sprintf("%d changes", n), func() bool {
		c, err := r.client.Changes(r.Context(), "", 0)
		if err != nil {
			r.Fatal(err)
		}
		list = c.Changes
		return len(list) >= n
	})
	if len(list) != n {
		r.Fatalf("%d changes, want %d: %+v", len(list), n, list)
	}
	return list
}

func TestChangePolicy(t *testing.T) {
	r, _ := shopRig(t, nil)
	dry, err := r.client.ChangeMTLS(t.Context(), api.MTLS{Verb: "require", Resource: "shop", Apply: api.Apply{DryRun: true}})
	if err != nil || dry.Applied || dry.Snapshot != "" || len(dry.Diffs) != 1 || dry.Rules[0].Mode != "STRICT" || !dry.Rules[0].Own ||
		!strings.Contains(dry.Diffs[0].Unified, "+spec: {mtls: {mode: STRICT}}") {
		t.Errorf("dry run %+v: %v", dry, err)
	}
	if r.source.get("/mesh/policy.yaml") != policy("PERMISSIVE") || r.source.written != 0 {
		t.Error("a dry run wrote something")
	}
	r.client.User = "ann<script>" + strings.Repeat("x", 200)
	done := r.change("require", "shop", false)
	if !done.Applied || done.Snapshot != r.status().Snapshot || done.Name != dry.Name || r.source.get("/mesh/policy.yaml") != policy("STRICT") {
		t.Errorf("done %+v", done)
	}
	one := r.changes(1)[0]
	if one.Who != "command line" || !strings.HasPrefix(one.User, "ann<script>") || len(one.User) != 100 || one.What != "require shop" || one.Name != done.Name || one.Snapshot != done.Snapshot ||
		len(one.Objects) != 1 || one.Objects[0].Kind != "PeerAuthentication" || len(one.Diffs) != 1 || !one.Undo || !one.InForce.IsZero() {
		t.Errorf("change %+v", one)
	}
	again := r.change("require", "shop", false)
	if again.Applied || again.Name != "" || len(again.Diffs) != 0 {
		t.Errorf("what is so already was done again: %+v", again)
	}
	r.changes(1)
}

// TestBreaking: what breaks a connection that somebody makes needs a yes.
func TestBreaking(t *testing.T) {
	r, _ := shopRig(t, func(o *Options) { o.Source.(*text).set("/mesh/rule.yaml", plainRule) })
	ask := api.MTLS{Verb: "require", Resource: "shop/api"}
	_, err := r.client.ChangeMTLS(t.Context(), ask)
	refused(t, err, http.StatusConflict, "1 connection that somebody makes would break")
	if r.source.written != 0 {
		t.Error("it was written")
	}
	ask.DryRun = true
	dry, err := r.client.ChangeMTLS(t.Context(), ask)
	if err != nil || dry.Impact.Breaks == 0 || dry.Impact.Effects[0].Kind != "breaks" || !dry.Impact.Effects[0].Declared || dry.Impact.Effects[0].Requests != 1 ||
		dry.Impact.Observed == nil || len(dry.Notes) == 0 {
		t.Errorf("dry run %+v: %v", dry, err)
	}
	ask.DryRun, ask.Clients = false, true
	if done, err := r.client.ChangeMTLS(t.Context(), ask); err != nil || !done.Applied || len(done.Diffs) != 2 {
		t.Errorf("with its clients: %+v %v", done, err)
	}
	if one := r.changes(1)[0]; one.What != "require shop/api with its clients" || len(one.Objects) != 2 {
		t.Errorf("change %+v", one)
	}
}

func TestUnknownResource(t *testing.T) {
	r, _ := shopRig(t, nil)
	for _, c := range []struct {
		verb, resource, words string
		status                int
	}{
		{"forbid", "shop", "parse verb", 400}, {"require", "Shop!", "parse resource", 400}, {"require", "shp", `did you mean shop?`, 404},
		{"require", "shop/apo", "did you mean shop/api?", 404},
	} {
		_, err := r.client.ChangeMTLS(t.Context(), api.MTLS{Verb: c.verb, Resource: c.resource})
		refused(t, err, c.status, c.words)
	}
	_, err := r.client.Rules(t.Context(), "nowhere")
	refused(t, err, 404, "no namespace")
}

// TestFilesByHand: what somebody does to the files is noticed, and what the command line did is named after it, whoever
// comes first.
func TestFilesByHand(t *testing.T) {
	r, _ := shopRig(t, nil)
	r.changes(0)
	r.source.set("/mesh/policy.yaml", policy("STRICT"))
	r.look <- struct{}{}
	one := r.changes(1)[0]
	if one.Who != "files" || one.What != "edit PeerAuthentication shop/default" || one.Diffs[0].Before != policy("PERMISSIVE") || one.Impact.Breaks != 1 {
		t.Errorf("change %+v", one)
	}
	// The watch was faster than whoever wrote.
	r.client.User = "bob"
	wrote := api.Wrote{Files: map[string]string{"/mesh/policy.yaml": hashed([]byte(policy("STRICT")))}, What: "require shop"}
	if _, err := r.client.Reload(t.Context(), wrote); err != nil {
		t.Fatal(err)
	}
	if one = r.changes(1)[0]; one.Who != "command line" || one.User != "bob" || one.What != "require shop" {
		t.Errorf("change %+v", one)
	}
	r.source.set("/mesh/policy.yaml", policy("DISABLE"))
	wrote = api.Wrote{Files: map[string]string{"/mesh/policy.yaml": hashed([]byte(policy("DISABLE")))}, What: "disable shop"}
	if _, err := r.client.Reload(t.Context(), wrote); err != nil {
		t.Fatal(err)
	}
	if one = r.changes(2)[0]; one.Who != "command line" || one.What != "disable shop" {
		t.Errorf("change %+v", one)
	}
	// What is no policy is no change of policy.
	r.source.set("/mesh/shop.yaml", shop+"# a comment\n")
	r.reload()
	r.changes(2)
}

func TestUndo(t *testing.T) {
	r, _ := shopRig(t, nil)
	done := r.change("require", "shop", false)
	r.changes(1)
	// Something else in the file has changed since: the object alone is set back.
	r.source.set("/mesh/policy.yaml", "# by hand\n"+r.source.get("/mesh/policy.yaml"))
	r.reload()
	undone, err := r.client.Undo(t.Context(), api.Undo{Name: done.Name})
	if err != nil || !undone.Applied || r.source.get("/mesh/policy.yaml") != "# by hand\n"+policy("PERMISSIVE") {
		t.Fatalf("undone %+v %v:\n%s", undone, err, r.source.get("/mesh/policy.yaml"))
	}
	list := r.changes(2)
	if list[0].Undoes != done.Name || list[0].Name == done.Name || list[1].Undo || !strings.Contains(list[1].UndoProblem, "was changed since") {
		t.Errorf("changes %+v", list)
	}
	_, err = r.client.Undo(t.Context(), api.Undo{Name: done.Name})
	refused(t, err, http.StatusConflict, "was changed since")
	_, err = r.client.Undo(t.Context(), api.Undo{Name: "no-such"})
	refused(t, err, http.StatusNotFound, "none of that name")
	// Taking back the taking back, letter by letter.
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: undone.Name}); err != nil || !strings.Contains(r.source.get("/mesh/policy.yaml"), "STRICT") {
		t.Errorf("undo of undo: %v\n%s", err, r.source.get("/mesh/policy.yaml"))
	}
}

// TestUndoOfCreation removes what a change created, and the other way round.
func TestUndoOfCreation(t *testing.T) {
	r, _ := shopRig(t, nil)
	made := r.change("require", "shop/api:80", false)
	before := r.source.get("/mesh/policy.yaml")
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: made.Name}); err != nil {
		t.Fatal(err)
	}
	if objects, err := r.client.Objects(t.Context(), "shop", "PeerAuthentication"); err != nil || len(objects.Objects) != 1 {
		t.Errorf("objects %+v %v\n%s", objects, err, before)
	}
	unset := r.change("unset", "shop", false)
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: unset.Name}); err != nil {
		t.Fatal(err)
	}
	if rules, err := r.client.Rules(t.Context(), "shop"); err != nil || rules.Rules[0].Mode != "PERMISSIVE" || rules.Rules[0].Place == nil {
		t.Errorf("rules %+v %v", rules, err)
	}
}

// TestChangesSurvive a restart of the control plane, and can be undone after it.
func TestChangesSurvive(t *testing.T) {
	r, _ := shopRig(t, nil)
	done := r.change("require", "shop/api:80", false)
	r.changes(1)
	r.stop()
	log := filepath.Join(r.opt.State, "audit.jsonl")
	if st, err := os.Stat(log); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"version":1,"change":{"name":"to`) // a crash in the middle of a line
	f.Close()
	r.run()
	if one := r.changes(1)[0]; one.Name != done.Name || !one.Undo || one.Impact.Effects == nil {
		t.Errorf("change %+v", one)
	}
	// Not by its bytes, but by its objects: numbers have gone through JSON.
	r.source.set("/mesh/policy.yaml", "# by hand\n"+r.source.get("/mesh/policy.yaml"))
	r.reload()
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: done.Name}); err != nil {
		t.Error(err)
	}
	r.changes(2)
	r.stop()
	r.run()
	r.changes(2)
}

// TestChangesWhileDown: what happened to the files between two control planes is written down once, and what was seen before
// it proves nothing of the verdicts after; likewise where the plane ended just after a change.
func TestChangesWhileDown(t *testing.T) {
	r, _ := shopRig(t, nil)
	edge := func(want bool) {
		t.Helper()
		r.until(fmt.Sprintf("an edge of which it is %v that it changed", want), func() bool { // what was missed is looked at in the background
			g, err := r.client.Graph(t.Context(), api.GraphQuery{})
			return err == nil && len(g.Edges) == 1 && (g.Edges[0].Changed != nil) == want
		})
	}
	edge(false)
	kept := filepath.Join(r.opt.State, "manifests.json")
	r.until("manifests that are kept", func() bool { _, err := os.Stat(kept); return err == nil })
	old, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.source.set("/mesh/policy.yaml", policy("DISABLE"))
	r.run()
	edge(true)
	var one api.Change
	r.until("change that knows its snapshot", func() bool { one = r.changes(1)[0]; return one.Snapshot != "" }) // there may be none yet
	if one.Who != "files" || one.What != "edit PeerAuthentication shop/default" || !one.Undo {
		t.Errorf("change %+v", one)
	}
	for _, early := range []bool{false, true} {
		r.stop()
		if early { // it ended when the change was in the journal, and before the manifests were kept
			if err := os.WriteFile(kept, old, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r.run()
		r.changes(1)
		edge(true)
	}
}

func TestEdit(t *testing.T) {
	r, _ := shopRig(t, nil)
	f, err := r.client.File(t.Context(), "/mesh/policy.yaml")
	if err != nil || f.Text != policy("PERMISSIVE") || len(f.Objects) != 1 || f.Objects[0].Summary != "PERMISSIVE" {
		t.Fatalf("file %+v: %v", f, err)
	}
	edit := func(e ...api.FileEdit) (*api.ChangeAnswer, error) {
		return r.client.Edit(t.Context(), api.Edit{Files: e})
	}
	done, err := edit(api.FileEdit{Name: f.Name, Hash: f.Hash, Text: policy("STRICT")}, api.FileEdit{Name: "/mesh/new.yaml", Text: plainRule})
	if err == nil {
		t.Errorf("it breaks what the web calls, and was done: %+v", done)
	}
	refused(t, err, http.StatusConflict, "would break")
	done, err = edit(api.FileEdit{Name: f.Name, Hash: f.Hash, Text: policy("STRICT")}, api.FileEdit{Name: "/mesh/new.yaml", Text: "# nothing\n"})
	if err != nil || !done.Applied || len(done.Diffs) != 2 {
		t.Fatalf("edit %+v: %v", done, err)
	}
	if one := r.changes(1)[0]; one.Name != done.Name || one.What != "edit PeerAuthentication shop/default" || len(one.Diffs) != 2 {
		t.Errorf("change %+v", one)
	}
	_, err = edit(api.FileEdit{Name: f.Name, Hash: f.Hash, Text: "# late\n"})
	refused(t, err, http.StatusConflict, "changed since it was read")
	_, err = edit(api.FileEdit{Name: f.Name, Hash: hashed([]byte(policy("STRICT"))), Text: policy("LOOSE")})
	refused(t, err, http.StatusUnprocessableEntity, "LOOSE")
	if got := r.source.get(f.Name); got != policy("STRICT") {
		t.Errorf("the file is now\n%s", got)
	}
	for _, name := range []string{"/etc/passwd", "/mesh/../etc/x.yaml", "/mesh/x.sh", "/mesh/.x.yaml", "/elsewhere/x.yaml", "x.yaml", "", "/mesh/x\x00.yaml", "/mesh//x.yaml"} {
		_, err := edit(api.FileEdit{Name: name, Text: "# x\n"})
		refused(t, err, http.StatusBadRequest, "write file")
	}
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: done.Name}); err != nil || r.source.get(f.Name) != policy("PERMISSIVE") || r.source.get("/mesh/new.yaml") != "" {
		t.Errorf("undo: %v\n%v", err, r.source.files)
	}
	check, err := r.client.Check(t.Context(), api.Edit{Files: []api.FileEdit{{Name: f.Name, Text: "a: b\n" + policy("LOOSE")}}})
	if err != nil || len(check.Problems) == 0 || check.Problems[0].Origin.Line == 0 || check.Problems[0].Severity != "error" {
		t.Errorf("check %+v %v", check, err)
	}
}

const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: shop}\nstringData: {password: hunter2}\n"

// TestSecretsStay: the text of a file that holds a Secret is in no answer and in no log, and such a file is not edited.
func TestSecretsStay(t *testing.T) {
	r, _ := shopRig(t, nil)
	both := secret + "---\n" + policy("PERMISSIVE")
	r.source.set("/mesh/policy.yaml", both)
	r.reload()
	f, err := r.client.File(t.Context(), "/mesh/policy.yaml")
	if err != nil || !f.Secret || f.Text != "" || len(f.Objects) != 2 {
		t.Errorf("file %+v: %v", f, err)
	}
	_, err = r.client.Edit(t.Context(), api.Edit{Files: []api.FileEdit{{Name: f.Name, Hash: f.Hash, Text: "# gone\n"}}})
	refused(t, err, http.StatusUnprocessableEntity, "holds a Secret")
	done := r.change("require", "shop", false)
	if len(done.Diffs) != 0 || len(done.Notes) == 0 || !strings.Contains(r.source.get("/mesh/policy.yaml"), "STRICT") {
		t.Errorf("change %+v", done)
	}
	r.source.set("/mesh/policy.yaml", strings.Replace(r.source.get("/mesh/policy.yaml"), "STRICT", "DISABLE", 1))
	r.reload()
	list := r.changes(2)
	if list[0].Who != "files" || len(list[0].Diffs) != 0 || list[0].Undo || !strings.Contains(list[0].UndoProblem, "was not kept") {
		t.Errorf("change %+v", list[0])
	}
	r.source.set("/mesh/policy.yaml", strings.Replace(r.source.get("/mesh/policy.yaml"), "DISABLE", "STRICT", 1))
	r.reload()
	r.changes(3)
	if _, err := r.client.Undo(t.Context(), api.Undo{Name: done.Name}); err != nil || !strings.Contains(r.source.get("/mesh/policy.yaml"), "hunter2") {
		t.Errorf("undo by the object: %v\n%s", err, r.source.get("/mesh/policy.yaml"))
	}
	r.changes(4)
	for _, path := range []string{"/v1/changes", "/v1/objects", "/v1/overview", "/v1/status", "/v1/file?name=/mesh/policy.yaml"} {
		if _, text := r.ask("GET", path, ""); strings.Contains(string(text), "hunter2") {
			t.Errorf("%s gives the Secret away", path)
		}
	}
	// A document that cannot be read may be a Secret too, wherever its kind stands.
	r.source.set("/mesh/torn.yaml", "kind:\n  \"Secret\"\nstringData:\n  password: hunter2\n  : x: y\n")
	r.reload()
	if _, text := r.ask("GET", "/v1/file?name=/mesh/torn.yaml", ""); !strings.Contains(string(text), "torn.yaml") || strings.Contains(string(text), "hunter2") {
		t.Errorf("a torn Secret is shown: %s", text)
	}
	if log, err := os.ReadFile(filepath.Join(r.opt.State, "audit.jsonl")); err != nil || strings.Contains(string(log), "hunter2") {
		t.Errorf("the audit log gives the Secret away: %v", err)
	}
}

// TestReadOnlyMesh: without a Writer nothing is changed.
func TestReadOnlyMesh(t *testing.T) {
	r, _ := shopRig(t, func(o *Options) { o.Writer = nil })
	_, err := r.client.ChangeMTLS(t.Context(), api.MTLS{Verb: "require", Resource: "shop"})
	refused(t, err, http.StatusForbidden, "cannot be written")
}

// TestHeldBack: a change is refused while something else holds the manifests back, and the mend of that is not.
func TestHeldBack(t *testing.T) {
	r, _ := shopRig(t, nil)
	r.source.set("/mesh/web.yaml", "kind: [")
	if a := r.reload(); a.Held == "" {
		t.Fatal("nothing is held back")
	}
	_, err := r.client.ChangeMTLS(t.Context(), api.MTLS{Verb: "require", Resource: "shop", Apply: api.Apply{Yes: true}})
	refused(t, err, http.StatusUnprocessableEntity, "was not taken, and is put back")
	if got := r.source.get("/mesh/policy.yaml"); got != policy("PERMISSIVE") {
		t.Errorf("the policy is now\n%s", got)
	}
	done, err := r.client.Edit(t.Context(), api.Edit{Files: []api.FileEdit{{Name: "/mesh/web.yaml", Hash: hashed([]byte("kind: [")), Text: caller}}})
	if err != nil || !done.Applied || r.status().Held != "" {
		t.Errorf("mend %+v: %v", done, err)
	}
}

// TestTwoWriters: of changes at one moment each is whole.
func TestTwoWriters(t *testing.T) {
	r, _ := shopRig(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			verb := []string{"require", "allow"}[i%2]
			if _, err := r.client.ChangeMTLS(t.Context(), api.MTLS{Verb: verb, Resource: "shop", Apply: api.Apply{Yes: true}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := r.client.Changes(t.Context(), "", 0)
	if err != nil || len(c.Changes) != r.source.written {
		t.Errorf("%d changes of %d writes: %v", len(c.Changes), r.source.written, err)
	}
	names := map[string]bool{}
	for i, one := range c.Changes {
		names[one.Name] = true
		if i > 0 && c.Changes[i-1].Diffs[0].Before != one.Diffs[0].After {
			t.Errorf("change %d does not begin where the one before ended", i)
		}
	}
	if len(names) != len(c.Changes) {
		t.Errorf("%d names for %d changes", len(names), len(c.Changes))
	}
}

// events opens an event stream and gives its events.
func (r *rig) events(ctx context.Context, last string) (<-chan string, *http.Response) {
	r.Helper()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://oarlock/v1/events", nil)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := r.line().RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	out := make(chan string, 100)
	if res.StatusCode != 200 {
		return out, res
	}
	go func() {
		defer close(out)
		defer res.Body.Close()
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			out <- in.Text()
		}
	}()
	r.Cleanup(func() {
		for range out {
		}
	})
	return out, res
}

// next waits for a line that begins so.
func (r *rig) next(lines <-chan string, prefix string) string {
	r.Helper()
	end := time.After(time.Minute)
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				r.Fatalf("the stream ended before %q", prefix)
			}
			if strings.HasPrefix(l, prefix) {
				return l
			}
		case <-end:
			r.Fatalf("no line begins with %q", prefix)
		}
	}
}

func TestEvents(t *testing.T) {
	r, store := shopRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, _ := r.events(ctx, "")
	r.next(lines, ": ")
	done := r.change("require", "shop", false)
	r.next(lines, "event: snapshot")
	r.next(lines, "event: change")
	if data := r.next(lines, "data: "); !strings.Contains(data, done.Name) {
		t.Errorf("change %s: %s", done.Name, data)
	}
	r.next(lines, "event: picture")
	store.set(called(metrics.SecurityNone), nil)
	r.next(lines, "event: picture")
	r.source.set("/mesh/web.yaml", "kind: [")
	r.reload()
	r.next(lines, "event: held")
	id := ""
	for id == "" {
		l := r.next(lines, "")
		id, _ = strings.CutPrefix(l, "id: ")
		if id == l {
			id = ""
		}
	}
	r.source.set("/mesh/web.yaml", caller)
	r.reload()
	again, _ := r.events(ctx, id)
	r.next(again, "event: held")
	lost, _ := r.events(ctx, "1")
	r.next(lost, "event: reset")
	if _, res := r.events(ctx, "x"); res.StatusCode != 400 {
		t.Errorf("Last-Event-ID x: %s", res.Status)
	}
}

// TestStreamsAreBounded: of thousands who want events some hundreds get them, and what those do not read holds up nobody.
func TestStreamsAreBounded(t *testing.T) {
	r, _ := shopRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var wg sync.WaitGroup
	status := map[int]int{}
	free := make(chan struct{}, 64)
	for range 2000 {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://oarlock/v1/events", nil)
			res, err := r.line().RoundTrip(req)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if status[res.StatusCode]++; res.StatusCode != 200 {
				res.Body.Close()
			} // nobody reads the others
		})
	}
	wg.Wait()
	if status[200] != 512 || status[503] != 2000-512 {
		t.Errorf("answers %v", status)
	}
	begin := time.Now()
	r.change("require", "shop", false)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("a change took %v beside streams that nobody reads", took)
	}
	cancel()
	r.until("room for another", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, res := r.events(ctx, "")
		return res.StatusCode == 200
	})
}

// answer is ask, but for what is so long that a slow machine may take longer to send it than the server waits.
func (r *rig) answer(method, path, body string) (*http.Response, []byte) {
	r.Helper()
	if len(body) < 1<<20 {
		return r.ask(method, path, body)
	}
	w := httptest.NewRecorder()
	r.plane.api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Result(), w.Body.Bytes()
}

// TestBadRequests: what is wrong is said, with the right status.
func TestBadRequests(t *testing.T) {
	r, _ := shopRig(t, nil)
	big := strings.Repeat("x", 4<<20)
	for _, c := range []struct {
		method, path, body string
		status             int
		words              string
	}{
		{"GET", "/v1/nothing", "", 404, "no such thing"}, {"GET", "/", "", 404, "no such thing"}, {"DELETE", "/v1/mtls", "", 404, "no such thing"},
		{"POST", "/v1/mtls", "", 400, "EOF"}, {"POST", "/v1/mtls", "{", 400, "EOF"}, {"POST", "/v1/mtls", `{"verb": "allow", "evil": 1}`, 400, "evil"},
		{"POST", "/v1/mtls", `{} {}`, 400, "more than one"}, {"POST", "/v1/mtls", `{"verb": "` + big[:70<<10] + `"}`, 413, "too large"},
		{"POST", "/v1/edit", `{"files": [{"name": "/mesh/x.yaml", "text": "` + big + `"}]}`, 413, "too large"}, {"POST", "/v1/edit", `{}`, 400, "none is named"},
		{"GET", "/v1/graph?window=1h30", "", 400, "window"}, {"GET", "/v1/graph?window=48h", "", 400, "window"}, {"GET", "/v1/trend?points=1", "", 400, "points"},
		{"GET", "/v1/changes?limit=1000", "", 400, "limit"}, {"GET", "/v1/changes?before=x", "", 404, "none of that name"},
		{"GET", "/v1/edge?id=x", "", 404, "none of that ID"}, {"GET", "/v1/node?id=<script>", "", 404, "none of that ID"},
		{"GET", "/v1/explain", "", 400, "none is named"}, {"GET", "/v1/explain?client=nobody&service=api.shop:80", "", 404, "no such workload"},
		{"GET", "/v1/explain?client=outside&service=api.shop", "", 400, "want SERVICE.NS:PORT"}, {"GET", "/v1/explain?client=outside&service=api.shop:81", "", 404, "no such port"},
		{"GET", "/v1/file?name=/etc/passwd", "", 404, "none of the mesh's manifests"}, {"GET", "/v1/file?name=../../etc/passwd", "", 404, "none of the mesh's"},
		{"GET", "/v1/logs", "", 400, "NAMESPACE/POD"}, {"GET", "/v1/logs?pod=shop/nobody", "", 404, "no such pod"}, {"GET", "/v1/logs?pod=shop/api-abc-1&tail=5000", "", 400, "tail"},
		{"GET", "/v1/proxy?pod=shop/nobody", "", 404, "no such pod"}, {"GET", "/v1/tap?edge=x", "", 404, "none of that ID"},
		{"POST", "/v1/probe", `{"to": "api"}`, 400, "NS/SERVICE:PORT"}, {"POST", "/v1/probe", `{"to": "shop/api:99"}`, 404, "no such service port"},
		{"POST", "/v1/probe", `{"to": "shop/api:80", "from": "shop/x"}`, 404, "no pod with a sidecar"},
		{"GET", "/v1/sync?snapshot=x", "", 404, "never published"}, {"GET", "/v1/sync?wait=2h", "", 400, "duration"},
		{"POST", "/v1/ca/rotate", `{"step": "dance"}`, 400, "none of prepare"}, {"POST", "/v1/ca/rotate", `{"step": "retire"}`, 409, ""},
		{"POST", "/v1/undo", `{"name": "x"}`, 404, "none of that name"}, {"POST", "/v1/check", `{"files": [{"name": "/etc/x.yaml", "text": ""}]}`, 400, "no folder"},
	} {
		res, text := r.answer(c.method, c.path, c.body)
		if res.StatusCode != c.status || !strings.Contains(string(text), c.words) || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %s, want %d with %q\n%.300s", c.method, c.path, res.Status, c.status, c.words, text)
		}
		if slices.Contains([]byte(text), '<') {
			t.Errorf("%s %s: markup is sent as it came: %s", c.method, c.path, text)
		}
	}
}
