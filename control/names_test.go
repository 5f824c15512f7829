package control

import (
	"testing"

	"github.com/oarlock/oarlock/api"
)

// TestNamesArePromised: a change has the name that its dry run said, also where the same was done before, and where a program
// writes the files and says a name itself.
func TestNamesArePromised(t *testing.T) {
	r, _ := shopRig(t, nil)
	had := map[string]bool{}
	for _, verb := range []string{"require", "allow", "require", "allow", "require", "allow"} {
		ask := api.MTLS{Verb: verb, Resource: "shop", Apply: api.Apply{DryRun: true}}
		dry, err := r.client.ChangeMTLS(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		done := r.change(verb, "shop", true)
		if dry.Name == "" || done.Name != dry.Name || had[done.Name] {
			t.Errorf("%s is called %q, and its dry run %q, after %v", verb, done.Name, dry.Name, had)
		}
		had[done.Name] = true
	}
	last := r.changes(6)[0].Name
	dry, err := r.client.Undo(t.Context(), api.Undo{Name: last, Apply: api.Apply{DryRun: true}})
	if err != nil {
		t.Fatal(err)
	}
	undone, err := r.client.Undo(t.Context(), api.Undo{Name: last, Apply: api.Apply{Yes: true}})
	if err != nil || undone.Name != dry.Name || r.changes(7)[0].Name != dry.Name {
		t.Errorf("undone as %q, and its dry run said %q: %v", undone.Name, dry.Name, err)
	}
	for i, name := range []string{"keen-otter", "keen-otter", "Keen Otter<script>", ""} {
		mode := []string{"DISABLE", "PERMISSIVE"}[i%2]
		r.source.set("/mesh/policy.yaml", policy(mode))
		got, err := r.client.Reload(t.Context(), api.Wrote{Files: map[string]string{"/mesh/policy.yaml": hashed([]byte(policy(mode)))}, What: "x", Name: name})
		one := r.changes(8 + i)[0]
		if err != nil || had[one.Name] || i < 2 && got.Change != one.Name || i == 0 && one.Name != name || i >= 2 && (got.Change != "" || one.Name == name) {
			t.Errorf("%q: the list says %q, the answer %+v, %v", name, one.Name, got, err)
		}
		had[one.Name] = true
	}
}
