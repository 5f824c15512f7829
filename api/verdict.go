package api

// Caller is who calls. Ref is absent for a caller without a sidecar of which nothing is known.
type Caller struct {
	Name string `json:"name"` // as a command takes it
	Ref  *Place `json:"ref,omitempty"`
}

// Callee is what is called.
type Callee struct {
	Host     string `json:"host"`
	Port     uint32 `json:"port"`
	PortName string `json:"portName,omitempty"`
	Subset   string `json:"subset,omitempty"`
	Ref      *Place `json:"ref,omitempty"`
}

// Verdict is the judgement on one connection. Words for modes are Istio's and the same in every dialect; only Status is a
// word of the dialect.
type Verdict struct {
	Client    Caller          `json:"client"`
	Target    Callee          `json:"target"`
	Status    string          `json:"status"`
	Server    string          `json:"server"`
	Mode      string          `json:"clientMode"`
	Auto      string          `json:"auto"`
	Wire      string          `json:"wire"`
	Outbound  string          `json:"outbound"`
	Cause     string          `json:"cause"`
	Reason    string          `json:"reason"`
	Policy    *Place          `json:"policy,omitempty"`
	TieBreak  string          `json:"tieBreak,omitempty"`
	Rule      *Place          `json:"destinationRule,omitempty"`
	Refused   int32           `json:"refusedEndpoints"`
	Known     int32           `json:"knownEndpoints"`
	Endpoints []EndpointClass `json:"endpoints,omitempty"`
	Sync      *Coverage       `json:"sync,omitempty"`    // of both ends; of a running mesh alone
	Reasons   []Reason        `json:"reasons,omitempty"` // of an explanation alone
	TLS       *ClientTLS      `json:"tls,omitempty"`     // likewise
}

// EndpointClass is one class of endpoints that are treated alike.
type EndpointClass struct {
	Workloads []Ref  `json:"workloads"`
	Subset    string `json:"subset,omitempty"`
	Port      uint32 `json:"port,omitempty"`
	Server    string `json:"server"`
	Policy    *Place `json:"policy,omitempty"`
	TieBreak  string `json:"tieBreak,omitempty"`
	Sends     string `json:"clientSends"`
	Wire      string `json:"wire"`
	Cause     string `json:"cause"`
	Reason    string `json:"reason"`
}

// Reason is one step of the why.
type Reason struct {
	Step     string `json:"step"`
	Outcome  string `json:"outcome,omitempty"` // wins, loses
	Cause    string `json:"cause"`
	Object   *Place `json:"object,omitempty"`
	TieBreak string `json:"tieBreak,omitempty"`
	Text     string `json:"text"`
}

// ClientTLS is how the client's sidecar starts TLS.
type ClientTLS struct {
	Mode       string   `json:"mode"`
	SNI        string   `json:"sni,omitempty"`
	SANs       []string `json:"subjectAltNames,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	MinVersion string   `json:"minVersion,omitempty"`
	MaxVersion string   `json:"maxVersion,omitempty"`
}

// Explanation is a verdict with everything that was considered.
type Explanation struct {
	Head
	Dialect  string `json:"dialect,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	Verdict
}
