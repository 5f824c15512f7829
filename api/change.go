package api

import "time"

// Impact is what a change does to every connection: each verdict before and after.
type Impact struct {
	// Counts of Effects by kind.
	Breaks int `json:"breaks"`
	Mends  int `json:"mends"`
	Opens  int `json:"opens"`
	Locks  int `json:"locks"`
	Same   int `json:"same"` // verdicts that stay as they are
	// Effects are the verdicts that change: breaks first, then opens, mends, locks, other; of each kind those with traffic
	// first, then by client and target.
	Effects []Effect `json:"effects"`
	// Observed says what the traffic figures are of; absent where nobody looked, and then Trouble may say why.
	Observed *Window `json:"observed,omitempty"`
	Trouble  string  `json:"trouble,omitempty"`
}

// Effect is one verdict that changes.
type Effect struct {
	// Kind is "breaks" (worked, is refused), "mends" (the reverse), "opens" (was mutual TLS, is plaintext), "locks" (the
	// reverse), or "other" (the server accepts more or less than before, and this client's connection stays as it is).
	Kind string `json:"kind"`
	// Client is who calls: a workload or "outside"; Alike counts the clients that get the same answers, itself included.
	Client string `json:"client"`
	Alike  int    `json:"alike"`
	Host   string `json:"host"`
	Port   uint32 `json:"port"`
	Before Side   `json:"before"`
	After  Side   `json:"after"`
	// Declared says that the manifests declare such a call, Requests and Connections what was observed of it, per second.
	Declared    bool    `json:"declared,omitempty"`
	Requests    float64 `json:"requests"`
	Connections float64 `json:"connections"`
	Text        string  `json:"text"` // one sentence
}

// Side is a verdict before or after a change. The words are those of Declared.
type Side struct {
	Status string `json:"status"`
	Server string `json:"server"`
	Mode   string `json:"clientMode"`
	Wire   string `json:"wire"`
	Policy *Place `json:"policy,omitempty"`
	Rule   *Place `json:"destinationRule,omitempty"`
}

// Rule is the policy in force for a resource: the row that `oarlock mtls get` prints.
type Rule struct {
	Resource string `json:"resource"` // mesh, NS, NS/SERVICE or NS/SERVICE:PORT
	Policy   string `json:"policy"`   // as the dialect prints it, such as "/default"; "-" for none
	Targets  string `json:"targets"`  // "[]", "[bookings(8080)]"
	Mode     string `json:"mtlsMode"`
	Place    *Place `json:"place,omitempty"` // of the policy
	// Own says that the policy is of this very resource, so that unset removes it; else it is inherited.
	Own bool `json:"own,omitempty"`
}

// Rules is the answer about the mTLS of a resource, or of all that have a policy.
type Rules struct {
	Head
	Title string `json:"title,omitempty"` // "mTLS rule for backyards-demo/"
	Rules []Rule `json:"rules"`
}

// MTLS asks for a change of policy: what `oarlock mtls VERB RESOURCE` does.
type MTLS struct {
	Verb     string `json:"verb"` // allow, require, disable, unset
	Resource string `json:"resource"`
	// Clients also edits the DestinationRules in force, so that no meshed client is left in conflict.
	Clients bool `json:"clients,omitempty"`
	Apply
}

// Apply says how far a change goes.
type Apply struct {
	DryRun bool `json:"dryRun,omitempty"` // nothing is written
	// Yes agrees to break connections that are declared or observed; without it such a change is refused with status 409.
	Yes bool `json:"yes,omitempty"`
}

// Edit asks for files to be replaced, as an editor does.
type Edit struct {
	Files []FileEdit `json:"files"`
	Apply
}

// FileEdit is one file of manifests as it shall be.
type FileEdit struct {
	Name string `json:"name"` // as in Files; a new one lies in a folder of the manifests
	// Hash is that of the content that was read (SHA-256 in hex); "" for a file that is new. A file that changed since is
	// not written, status 409.
	Hash string `json:"hash,omitempty"`
	Text string `json:"text"`
	// Delete removes the file.
	Delete bool `json:"delete,omitempty"`
}

// ChangeAnswer is what a change does, and whether it was made.
type ChangeAnswer struct {
	Head
	// Name is a human name by content, "" where there is nothing to do. That of a dry run is the one that the change gets, unless
	// another change takes it in between.
	Name    string `json:"name"`
	Applied bool   `json:"applied"` // false for a dry run, and where there is nothing to do
	// Snapshot is the version that has the change; ask /v1/sync or follow the events for how far it is.
	Snapshot string    `json:"snapshot,omitempty"`
	Diffs    []Diff    `json:"diffs"`
	Impact   Impact    `json:"impact"`
	Notes    []Note    `json:"notes,omitempty"`
	Rules    []Rule    `json:"rules,omitempty"`    // in force for the resource with the change
	Problems []Problem `json:"problems,omitempty"` // of the manifests with the change, that are not there without it
}

// Diff is a file before and after, "" where there is none.
type Diff struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
	// Unified is the difference as a text for people, with three lines around each place.
	Unified string `json:"unified"`
}

// Note is something that the person who changes should know.
type Note struct {
	Text string `json:"text"`
	Try  string `json:"try,omitempty"` // a command that helps, without "oarlock"
}

// Change is one change of policy that was seen or made: a line of the audit log.
type Change struct {
	Name string    `json:"name"` // human name
	At   time.Time `json:"at"`
	// Who made it: "dashboard", "command line", or "files" for an edit that somebody made to the manifests; User is the
	// name of the account where that is known.
	Who  string `json:"who"`
	User string `json:"user,omitempty"`
	What string `json:"what"` // one line: "require backyards-demo"
	// Objects are those that the change touches.
	Objects []Ref  `json:"objects"`
	Diffs   []Diff `json:"diffs"`
	Impact  Impact `json:"impact"`
	// Snapshot is the version since the change, and InForce when the last sidecar had it, absent while it has not.
	Snapshot string    `json:"snapshot"`
	InForce  time.Time `json:"inForce,omitzero"`
	Sidecars int       `json:"sidecars"` // that it is in force on
	// Undo says whether it can be undone now, and UndoProblem why not.
	Undo        bool   `json:"undo"`
	UndoProblem string `json:"undoProblem,omitempty"`
	Undoes      string `json:"undoes,omitempty"` // the name of the change that this one took back
}

// Changes are the newest changes, newest first.
type Changes struct {
	Head
	Changes []Change `json:"changes"`
	More    bool     `json:"more,omitempty"` // there are older ones
}

// Undo asks for a change to be taken back.
type Undo struct {
	Name string `json:"name"`
	Apply
}
