package change

import (
	"fmt"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// Options say how far a change goes.
type Options struct {
	// Clients also edits DestinationRules until no meshed client is in conflict with the resource.
	Clients bool
}

// Note is something that the person should know about a plan.
type Note struct {
	Text string
	Try  string // a command that helps, without "oarlock"; "" where there is none
}

// Plan is the answer to an intent.
type Plan struct {
	Name      string // human name of the change, by its content; "" where nothing changes
	Verb      Verb
	Resource  Resource
	Clients   bool
	Changes   []mesh.Change // updates, creations, deletions; empty where there is nothing to do
	Notes     []Note
	Conflicts []Conflict // that the plan leaves, of meshed clients
}

// Empty says whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// MTLS computes the plan for a verb on a resource. It returns a *Refusal where the resource is unknown or the dialect
// cannot express what is asked without touching more.
func MTLS(s *mesh.Snapshot, v Verb, r Resource, opt Options) (*Plan, error) {
	where, err := find(s, r)
	if err != nil {
		return nil, err
	}
	p := &plan{draft: &draft{snap: s}, r: resolve.New(s), verb: v, out: &Plan{Verb: v, Resource: r, Clients: opt.Clients}}
	if err := p.policies(where); err != nil {
		return nil, err
	}
	p.widerExceptions(where)
	if err := p.clients(where, opt.Clients); err != nil {
		return nil, err
	}
	p.out.Changes = p.changes()
	if !p.out.Empty() {
		p.out.Name = mesh.HumanName([]byte(canonical(p.out.Changes)))
	}
	return p.out, nil
}

// plan is a Plan being made.
type plan struct {
	*draft
	r    *resolve.Resolver // of the snapshot as it is
	verb Verb
	out  *Plan
}

// policies makes the edits of the server's side.
func (p *plan) policies(where place) error {
	var side interface {
		set(place, mesh.Mode) error
		unset(place) error
	} = current{p}
	if p.snap.Dialect.Legacy() {
		side = legacy{p}
	}
	if p.verb == Unset {
		return side.unset(where)
	}
	return side.set(where, p.verb.Mode())
}

func (p *plan) note(format string, args ...any) {
	p.out.Notes = append(p.out.Notes, Note{Text: fmt.Sprintf(format, args...)})
}

// exception notes a narrower resource that keeps a mode of its own.
func (p *plan) exception(r Resource, mode mesh.Mode, by mesh.Ref) {
	n := Note{Text: fmt.Sprintf("%s stays %s: %s decides there", r, ModeWord(mode, p.snap.Dialect), by), Try: "mtls unset " + r.String()}
	for _, o := range p.out.Notes {
		if o == n {
			return
		}
	}
	p.out.Notes = append(p.out.Notes, n)
}

// because is the sentence that goes with an edit.
func (p *plan) because(where place, mode mesh.Mode) string {
	if p.verb == Unset && mode == mesh.ModeUnset {
		return fmt.Sprintf("mtls unset %s: the wider policy applies again", where.Resource)
	}
	return fmt.Sprintf("mtls %s %s: %s", p.verb, where.Resource, modeSentence(mode))
}

func modeSentence(m mesh.Mode) string {
	switch m {
	case mesh.ModeStrict:
		return "take mTLS alone"
	case mesh.ModePermissive:
		return "take mTLS and plaintext"
	}
	return "take plaintext alone"
}

// widerExceptions notes the policies of narrower scopes that keep a mode of their own, for a mesh or a namespace.
func (p *plan) widerExceptions(where place) {
	if where.Scope > ScopeNamespace || len(p.changes()) == 0 {
		return
	}
	for _, row := range List(p.snap) {
		if row.Scope <= where.Scope || !row.InForce || row.Mode == p.verb.Mode() || p.gone(row.Policy) {
			continue
		}
		if where.Scope == ScopeMesh || row.Policy.Namespace == where.Namespace {
			p.exception(row.Resource(), row.Mode, row.Policy)
		}
	}
}
