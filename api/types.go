package api

import "time"

// Version is the apiVersion of every answer.
const Version = "oarlock.dev/v1"

// Head stands before every answer.
type Head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// Ref names one object.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Origin is where an object was read; Line and Col count from 1.
type Origin struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	// ResourceVersion is that of an object of a cluster.
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Status is how a mesh is at one moment.
type Status struct {
	Head
	Mesh string `json:"mesh"`
	// Manifests are the absolute paths that the mesh is read from.
	Manifests   []string  `json:"manifests"`
	Dialect     string    `json:"dialect"`
	TrustDomain string    `json:"trustDomain"`
	Snapshot    string    `json:"snapshot"` // version in force at the control plane
	Started     time.Time `json:"started"`  // of the control plane's process
	PID         int       `json:"pid"`      // likewise
	// Capture is "transparent" or "explicit"; CaptureWhy says why.
	Capture    string `json:"capture"`
	CaptureWhy string `json:"captureReason"`
	Services   int    `json:"services"`

	Sync       Coverage     `json:"sync"`
	Nodes      []Node       `json:"nodes"`      // by namespace, pod
	Pods       []Pod        `json:"pods"`       // by namespace, name
	Problems   []Problem    `json:"problems"`   // errors first
	Unenforced []Unenforced `json:"unenforced"` // by kind, namespace, name
	// Held says why the manifests as they are now are not in force; "" where they are.
	Held      string    `json:"held,omitempty"`
	CA        CAStatus  `json:"ca"`
	AccessLog AccessLog `json:"accessLog"`
}

// Coverage counts the sidecars on which a snapshot is in force.
type Coverage struct {
	InForce int `json:"inForce"`
	Total   int `json:"total"` // sidecars that run, those that are not connected included
}

// Node is one sidecar as the control plane sees it.
type Node struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Known     bool      `json:"known"` // the mesh has such a pod
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"` // of the connection
	// Snapshot is the newest version that the sidecar acknowledged whole; "" none yet.
	Snapshot string `json:"snapshot"`
	InForce  bool   `json:"inForce"`           // Snapshot is the newest
	Refused  string `json:"refused,omitempty"` // why it refused what was sent last
	// Types are the kinds of resources, in the order CDS, EDS, LDS, RDS.
	Types []NodeType `json:"types"`
}

// NodeType is what one node has of one kind of resource.
type NodeType struct {
	Type  string `json:"type"`  // CDS, EDS, LDS, RDS
	State string `json:"state"` // SYNCED, STALE, NOT SENT, NACK
}

// Pod is one running instance.
type Pod struct {
	Namespace      string    `json:"namespace"`
	Name           string    `json:"name"`
	Owner          *Ref      `json:"owner,omitempty"` // the workload of the manifests; absent for a Pod of its own
	ServiceAccount string    `json:"serviceAccount"`
	Labels         Labels    `json:"labels,omitempty"`
	Addresses      []string  `json:"addresses"`
	Sidecar        bool      `json:"sidecar"`
	Phase          string    `json:"phase"`
	Ready          bool      `json:"ready"`
	Containers     int       `json:"containers"`
	Reason         string    `json:"reason,omitempty"`
	Restarts       int       `json:"restarts"`
	Started        time.Time `json:"started,omitzero"`
}

// Labels are those of a pod.
type Labels = map[string]string

// Problem is something in the manifests, or in what runs, that is not as its author may think.
type Problem struct {
	Severity string `json:"severity"` // error or warning
	Object   *Ref   `json:"object,omitempty"`
	Origin   Origin `json:"origin,omitzero"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// Unenforced is an object that a mesh on this machine does not enforce.
type Unenforced struct {
	Object Ref    `json:"object"`
	Origin Origin `json:"origin,omitzero"`
	Why    string `json:"why"`
}

// AccessLog is what the mesh says of access logs.
type AccessLog struct {
	On       bool   `json:"on"`
	File     string `json:"file,omitempty"`
	Encoding string `json:"encoding,omitempty"` // TEXT or JSON
	Format   string `json:"format,omitempty"`   // "" is Istio's of the dialect
}

// Manifests are the files of the snapshot in force with what runs: enough to make the same snapshot.
type Manifests struct {
	Head
	Snapshot string   `json:"snapshot"`
	Dialect  string   `json:"dialect"`
	Paths    []string `json:"paths"` // absolute, as in Status.Manifests
	Files    []File   `json:"files"` // by name
	Running  Running  `json:"running"`
}

// File is one file of manifests, as it was when it was read.
type File struct {
	Name string `json:"name"`
	Data []byte `json:"data"` // base64 in JSON
}

// Running is what runs.
type Running struct {
	Capture    string      `json:"capture"`
	CaptureWhy string      `json:"captureReason"`
	Pods       []Pod       `json:"pods"`
	ServiceIPs []ServiceIP `json:"serviceIPs,omitempty"` // by kind, namespace, name
}

// ServiceIP is the address that the engine gave to a service that names none.
type ServiceIP struct {
	Service Ref    `json:"service"`
	IP      string `json:"ip"`
}

// Wrote says what was just written. It may be left out.
type Wrote struct {
	// Files has the hash of the content of each file (SHA-256 in hex), by absolute path: they are read at once, while a
	// file that changed a moment ago is else read when it has settled.
	Files map[string]string `json:"files,omitempty"`
	// Removed are files that were removed, by absolute path.
	Removed []string `json:"removed,omitempty"`
	// What was done, in one line such as "require shop/api", so that the list of changes names it: "" leaves it to what the
	// files say.
	What string `json:"what,omitempty"`
	// Name is a human name for the change, by its content; it gets another where that is taken, or is no such name.
	Name string `json:"name,omitempty"`
}

// Reload is what came of looking at the manifests.
type Reload struct {
	Head
	// Snapshot is the version that is in force at the control plane now.
	Snapshot string `json:"snapshot"`
	// Held says why it is not that of the manifests as they are now; "" where it is.
	Held string `json:"held,omitempty"`
	// Change is the name that what was just written has in the list of changes, if it changes a policy; "" where it was not
	// named, or is held back.
	Change   string    `json:"change,omitempty"`
	Problems []Problem `json:"problems"`
}

// Sync says how far a snapshot is.
type Sync struct {
	Head
	Snapshot string `json:"snapshot"` // that was asked for
	Coverage
	// Elapsed is the time since the control plane took the snapshot, until it was in force everywhere or until the answer.
	Elapsed float64 `json:"elapsedMilliseconds"`
	// Missing are the sidecars on which it is not in force, in order: "POD.NAMESPACE: why".
	Missing []string `json:"missing,omitempty"`
}

// CA is the answer about authorities.
type CA struct {
	Head
	CAStatus
}

// CAStatus is the state of the authorities of a trust domain.
type CAStatus struct {
	TrustDomain string      `json:"trustDomain"`
	Rotating    bool        `json:"rotating"` // the steps of a rotation are taken as soon as each is safe
	Bundle      string      `json:"bundle"`   // version of the trust bundle
	Authorities []Authority `json:"authorities"`
}

// Authority is one authority of a trust domain.
type Authority struct {
	Slot        string    `json:"slot"` // active, prepared, old
	Fingerprint string    `json:"fingerprint"`
	Origin      string    `json:"origin"` // self-made or files
	Since       time.Time `json:"since"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	Next        time.Time `json:"next,omitzero"` // when its next step is safe
}

// Rotate asks for a step of a rotation.
type Rotate struct {
	// Step is "" for the whole of it, each step when it is safe; or "prepare", "activate", "retire" for that one now.
	Step string `json:"step,omitempty"`
	// Force takes activate or retire although connections may break.
	Force bool `json:"force,omitempty"`
}

// TokenRequest asks for a token of a workload, by its name as a node: that of a Pod, or of what the manifests declare where nothing
// runs it.
type TokenRequest struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
}

// Token lets a sidecar ask for certificates and configuration, as one workload. Keep it as a secret.
type Token struct {
	Head
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Identity  string    `json:"identity"` // SPIFFE ID of the certificates that it gets
	Expires   time.Time `json:"expires"`
	Token     string    `json:"token"`
}

// Error is the answer to what could not be done, with a status of 4xx or 5xx.
type Error struct {
	Head
	Message string `json:"message"` // `verb object: cause`
}
