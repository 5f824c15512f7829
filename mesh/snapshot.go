package mesh

import (
	"context"
	"slices"
)

// Snapshot is a whole mesh at one moment. It is immutable: whoever holds one may read it from any goroutine,
// and nobody may write to it or to anything that it points to. The order of every slice is fixed and stated.
type Snapshot struct {
	Version string  // hash of the content; equal content has an equal version
	Dialect Dialect // never DialectAuto
	Config  Config

	Namespaces          []*Namespace          // by name
	ServiceAccounts     []Ref                 // by namespace, name
	Services            []*Service            // by hostname, then namespace
	Workloads           []*Workload           // by namespace, name, kind; inline endpoints are not among them
	PeerAuthentications []*PeerAuthentication // oldest first (Object.Older)
	Policies            []*Policy             // Policy and MeshPolicy, oldest first
	DestinationRules    []*DestinationRule    // oldest first
	Sidecars            []*Sidecar            // oldest first
	VirtualServices     []*VirtualService     // oldest first
	Gateways            []*Gateway            // by namespace, name
	ProxyConfigs        []*ProxyConfig        // oldest first
	ConfigMaps          []*ConfigMap          // by namespace, name
	Secrets             []*Secret             // by namespace, name
	Unenforced          []Unenforced          // by kind, namespace, name

	// Unready are the pods that run, or begin to, and must get no traffic yet. It is apart from the workloads because it
	// says nothing about what the mesh is, and changes all the time: no verdict depends on it.
	Unready []Ref // by namespace, name

	// Unknown counts the objects of kinds that Oarlock does not read, by "Kind.group".
	Unknown map[string]int
	// Documents is how many objects were read, unknown kinds included.
	Documents int
}

// Namespace finds a namespace object by name; nil where the source has none.
func (s *Snapshot) Namespace(name string) *Namespace {
	for _, n := range s.Namespaces {
		if n.Ref.Name == name {
			return n
		}
	}
	return nil
}

// Ready says whether a workload may get traffic: it is not one of Unready.
func (s *Snapshot) Ready(w *Workload) bool {
	_, unready := slices.BinarySearchFunc(s.Unready, w.Ref, Ref.Compare)
	return !unready
}

// Severity of a Problem.
type Severity uint8

// The severities. An error means that the object was not taken in; a warning that it was, but perhaps not as meant.
const (
	Warning Severity = iota
	Error
)

// String gives "warning" or "error".
func (s Severity) String() string { return [...]string{"warning", "error"}[s] }

// Problem is something in the input that could not be read, or was read otherwise than its author may think.
type Problem struct {
	Severity Severity
	Origin   Origin
	Ref      Ref    // zero where the object could not be named
	Message  string // `verb object: cause`
	Hint     string // what to do or type; "" where there is nothing to say
}

// Error gives "file:line:col: message".
func (p Problem) Error() string {
	if at := p.Origin.String(); at != "" {
		return at + ": " + p.Message
	}
	return p.Message
}

// Precondition is what a change was computed from: each place that was read (a file) with the hash of its content,
// or each object with its resourceVersion. A Writer refuses to write over anything else.
type Precondition map[string]string

// Reading is one look at a Source.
type Reading struct {
	Snapshot     *Snapshot
	Problems     []Problem // errors first, then by position; an error means that its object is missing from the Snapshot
	Precondition Precondition
}

// Source gives the mesh as it is now.
//
// Read returns a complete Reading: a document that cannot be read becomes a Problem and its neighbours still load.
// The error is for a source that cannot be read at all (no such directory, no cluster). Read may be called again and from
// several goroutines; each Reading is independent.
type Source interface {
	Read(ctx context.Context) (Reading, error)
}

// Writer puts changes where a Source will find them.
//
// Write applies all changes or none, as far as the place allows; it re-reads what it replaces and returns a *StaleError,
// having written nothing, where that is not what pre says.
type Writer interface {
	Write(ctx context.Context, pre Precondition, changes []Change) error
}

// StaleError says that somebody else changed a place between reading and writing.
type StaleError struct {
	Place string // file, or object
}

// Error gives "write PLACE: changed since it was read".
func (e *StaleError) Error() string { return "write " + e.Place + ": changed since it was read" }
