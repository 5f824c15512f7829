package mesh

import "time"

// HTTPRoute is one rule of a VirtualService's http: what it matches, and what happens then. Exactly one of Route, Redirect
// and DirectResponse is set, or none: a rule that delegates to another VirtualService, which is not read.
type HTTPRoute struct {
	Name  string
	Match []HTTPMatch // any of them; empty matches everything

	Route          []WeightedDestination
	Redirect       *HTTPRedirect
	DirectResponse *HTTPDirectResponse

	Rewrite *HTTPRewrite
	Timeout *time.Duration // nil where not written, which means none
	Retries *HTTPRetries   // nil where not written, which means the mesh's
	Origin  Origin
}

// HTTPMatch is one condition of an HTTPRoute: all that it sets must hold.
type HTTPMatch struct {
	Name           string
	URI            *StringMatch
	IgnoreURICase  bool
	Scheme         *StringMatch
	Method         *StringMatch
	Authority      *StringMatch
	Headers        []NamedMatch // by name, in small letters
	WithoutHeaders []NamedMatch // by name; none of them may hold
	QueryParams    []NamedMatch // by name

	Port            uint32            // of the service that is called; 0: any
	Gateways        []string          // as written; empty: those of the VirtualService
	SourceLabels    map[string]string // of the client
	SourceNamespace string            // of the client; "": any
}

// MatchOp is how a StringMatch compares.
type MatchOp uint8

// The ways to compare. MatchPresent holds for any value.
const (
	MatchPresent MatchOp = iota
	MatchExact
	MatchPrefix
	MatchRegex // RE2, of the whole text
)

// String gives Istio's spelling.
func (o MatchOp) String() string { return [...]string{"present", "exact", "prefix", "regex"}[o] }

// StringMatch compares a text.
type StringMatch struct {
	Op    MatchOp
	Value string
}

// NamedMatch compares a header or a query parameter.
type NamedMatch struct {
	Name string
	StringMatch
}

// WeightedDestination is one destination of a rule with its share of the traffic.
type WeightedDestination struct {
	RouteDestination
	Weight uint32 // of the sum of all; of a rule with one destination 100
}

// HTTPRedirect answers with a redirect. Empty fields keep what the request has.
type HTTPRedirect struct {
	URI       string // the whole path, or "%PREFIX()%..." as written
	Prefix    string // prefixRewrite: replaces the prefix that matched
	Authority string
	Scheme    string
	Port      uint32 // 0: not said
	Code      uint32 // 301 where nothing is said
}

// HTTPDirectResponse answers by itself.
type HTTPDirectResponse struct {
	Status uint32
	Body   string
}

// HTTPRewrite changes the request before it is forwarded. Empty fields keep what it has.
type HTTPRewrite struct {
	URI       string // replaces the prefix that matched, or the whole path where it was matched exactly
	Authority string
	// Regex and Replacement are uriRegexRewrite.
	Regex, Replacement string
}

// HTTPRetries is how often a failed request is tried again.
type HTTPRetries struct {
	Attempts      int           // 0 turns retries off
	PerTryTimeout time.Duration // 0: the route's
	RetryOn       string        // as written; "" is Istio's default
}

// TLSRoute is one rule of a VirtualService's tls, for connections that are not terminated.
type TLSRoute struct {
	Match  []L4Match // any of them
	Route  []WeightedDestination
	Origin Origin
}

// TCPRoute is one rule of a VirtualService's tcp.
type TCPRoute struct {
	Match  []L4Match // any of them; empty matches everything
	Route  []WeightedDestination
	Origin Origin
}

// L4Match is one condition of a TLSRoute or TCPRoute: all that it sets must hold.
type L4Match struct {
	SNIHosts           []string // of a TLSRoute; may begin with "*."
	DestinationSubnets []string
	Port               uint32 // of the service that is called; 0: any
	Gateways           []string
	SourceLabels       map[string]string
	SourceNamespace    string
}
