package mesh

// Op is what a Change does to its object.
type Op uint8

// The operations.
const (
	Create Op = iota
	Update
	Delete
)

// String gives "create", "update" or "delete".
func (o Op) String() string { return [...]string{"create", "update", "delete"}[o] }

// Change creates, updates or deletes one object. It is the only way in which Oarlock changes a mesh: a verb, a fix or a
// migration computes it, and a Writer turns it into a text edit or an API call.
type Change struct {
	Op     Op
	Ref    Ref
	Origin Origin // of the object (Update, Delete); of the object to stand beside (Create), zero to let the Writer choose
	Before Tree   // the object as it was read; nil for Create
	After  Tree   // the object as it shall be; nil for Delete
	Why    string // one sentence for the person who reads the diff
}
