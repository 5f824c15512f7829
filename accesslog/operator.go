package accesslog

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// An operator is one command operator of a format, with its arguments read. Exactly one of its accessors is set; each
// serves to write and to read.
type operator struct {
	text string // as in the format, for messages

	clock    clock
	str      func(*Record) *string
	num      func(*Record) *int64
	duration func(*Record) *time.Duration
	fields   func(*Record) *[]Field
	field    string // the name in fields
	flags    bool
	long     bool // flags by their long names
	address  func(*Record) *string
	part     addressPart

	instead *operator // what is written where this one is absent; nil for nothing
	limit   int       // the most bytes that are written of a value; 0 is no limit
	column  bool      // blanks in the value are written as _, as Envoy does with details
}

type addressPart uint8

const (
	addressHost addressPart = iota + 1
	addressPort
)

// strOperators are the operators without arguments whose value is a string.
var strOperators = map[string]func(*Record) *string{
	"PROTOCOL":                            func(r *Record) *string { return &r.Protocol },
	"RESPONSE_CODE_DETAILS":               func(r *Record) *string { return &r.CodeDetails },
	"CONNECTION_TERMINATION_DETAILS":      func(r *Record) *string { return &r.TerminationDetails },
	"UPSTREAM_TRANSPORT_FAILURE_REASON":   func(r *Record) *string { return &r.UpstreamTransportFailure },
	"DOWNSTREAM_TRANSPORT_FAILURE_REASON": func(r *Record) *string { return &r.DownstreamTransportFailure },
	"UPSTREAM_HOST":                       func(r *Record) *string { return &r.UpstreamHost },
	"UPSTREAM_REMOTE_ADDRESS":             func(r *Record) *string { return &r.UpstreamHost },
	"UPSTREAM_CLUSTER":                    func(r *Record) *string { return &r.UpstreamCluster },
	"UPSTREAM_CLUSTER_RAW":                func(r *Record) *string { return &r.UpstreamCluster },
	"UPSTREAM_LOCAL_ADDRESS":              func(r *Record) *string { return &r.UpstreamLocalAddress },
	"DOWNSTREAM_LOCAL_ADDRESS":            func(r *Record) *string { return &r.DownstreamLocalAddress },
	"DOWNSTREAM_REMOTE_ADDRESS":           func(r *Record) *string { return &r.DownstreamRemoteAddress },
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":    func(r *Record) *string { return &r.DownstreamDirectRemoteAddress },
	"REQUESTED_SERVER_NAME":               func(r *Record) *string { return &r.RequestedServerName },
	"ROUTE_NAME":                          func(r *Record) *string { return &r.RouteName },
	"FILTER_CHAIN_NAME":                   func(r *Record) *string { return &r.FilterChainName },
	"VIRTUAL_CLUSTER_NAME":                func(r *Record) *string { return &r.VirtualClusterName },
	"HOSTNAME":                            func(r *Record) *string { return &r.Hostname },
	"GRPC_STATUS":                         func(r *Record) *string { return &r.GRPCStatus },
	"DOWNSTREAM_PEER_URI_SAN":             func(r *Record) *string { return &r.Downstream.PeerURISAN },
	"DOWNSTREAM_LOCAL_URI_SAN":            func(r *Record) *string { return &r.Downstream.LocalURISAN },
	"DOWNSTREAM_PEER_SUBJECT":             func(r *Record) *string { return &r.Downstream.PeerSubject },
	"DOWNSTREAM_PEER_ISSUER":              func(r *Record) *string { return &r.Downstream.PeerIssuer },
	"DOWNSTREAM_TLS_VERSION":              func(r *Record) *string { return &r.Downstream.Version },
	"DOWNSTREAM_TLS_CIPHER":               func(r *Record) *string { return &r.Downstream.Cipher },
	"UPSTREAM_PEER_URI_SAN":               func(r *Record) *string { return &r.Upstream.PeerURISAN },
	"UPSTREAM_LOCAL_URI_SAN":              func(r *Record) *string { return &r.Upstream.LocalURISAN },
	"UPSTREAM_PEER_SUBJECT":               func(r *Record) *string { return &r.Upstream.PeerSubject },
	"UPSTREAM_PEER_ISSUER":                func(r *Record) *string { return &r.Upstream.PeerIssuer },
	"UPSTREAM_TLS_VERSION":                func(r *Record) *string { return &r.Upstream.Version },
	"UPSTREAM_TLS_CIPHER":                 func(r *Record) *string { return &r.Upstream.Cipher },
}

// numOperators are those whose value is a number.
var numOperators = map[string]func(*Record) *int64{
	"RESPONSE_CODE":                  func(r *Record) *int64 { return &r.ResponseCode },
	"BYTES_RECEIVED":                 func(r *Record) *int64 { return &r.BytesReceived },
	"BYTES_SENT":                     func(r *Record) *int64 { return &r.BytesSent },
	"CONNECTION_ID":                  func(r *Record) *int64 { return &r.ConnectionID },
	"UPSTREAM_REQUEST_ATTEMPT_COUNT": func(r *Record) *int64 { return &r.UpstreamAttempts },
}

// durationOperators are those whose value is in milliseconds.
var durationOperators = map[string]func(*Record) *time.Duration{
	"DURATION":             func(r *Record) *time.Duration { return &r.Duration },
	"REQUEST_DURATION":     func(r *Record) *time.Duration { return &r.RequestTime },
	"RESPONSE_DURATION":    func(r *Record) *time.Duration { return &r.ResponseTime },
	"RESPONSE_TX_DURATION": func(r *Record) *time.Duration { return &r.ResponseSendTime },
}

// addressOperators end in _WITHOUT_PORT, or in _PORT in place of _ADDRESS.
var addressOperators = map[string]func(*Record) *string{
	"UPSTREAM_LOCAL":           strOperators["UPSTREAM_LOCAL_ADDRESS"],
	"UPSTREAM_REMOTE":          strOperators["UPSTREAM_REMOTE_ADDRESS"],
	"DOWNSTREAM_LOCAL":         strOperators["DOWNSTREAM_LOCAL_ADDRESS"],
	"DOWNSTREAM_REMOTE":        strOperators["DOWNSTREAM_REMOTE_ADDRESS"],
	"DOWNSTREAM_DIRECT_REMOTE": strOperators["DOWNSTREAM_DIRECT_REMOTE_ADDRESS"],
}

// requestFields are the request headers that have a field of their own.
var requestFields = map[string]func(*Record) *string{
	":method":         func(r *Record) *string { return &r.Method },
	":path":           func(r *Record) *string { return &r.Path },
	":scheme":         func(r *Record) *string { return &r.Scheme },
	":authority":      func(r *Record) *string { return &r.Authority },
	"user-agent":      func(r *Record) *string { return &r.UserAgent },
	"x-request-id":    func(r *Record) *string { return &r.RequestID },
	"x-forwarded-for": func(r *Record) *string { return &r.ForwardedFor },
}

// responseFields are the response headers that have one.
var responseFields = map[string]func(*Record) *string{
	"x-envoy-upstream-service-time": func(r *Record) *string { return &r.UpstreamServiceTime },
}

func requestSlice(r *Record) *[]Field  { return &r.Request }
func responseSlice(r *Record) *[]Field { return &r.Response }
func trailerSlice(r *Record) *[]Field  { return &r.Trailers }
func metadataSlice(r *Record) *[]Field { return &r.Metadata }
func filterSlice(r *Record) *[]Field   { return &r.FilterState }

// newOperator reads %NAME(ARGUMENT):LIMIT%; argument and limit are "" where they are not given.
func newOperator(name, argument, limit string) (*operator, error) {
	o, err := namedOperator(name, argument)
	if err != nil {
		return nil, err
	}
	if limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("length %q is not a number", limit)
		}
		if o.str == nil && o.fields == nil {
			return nil, errors.New("it takes no length")
		}
		for e := o; e != nil; e = e.instead {
			e.limit = n
		}
	}
	return o, nil
}

func namedOperator(name, argument string) (*operator, error) {
	switch name {
	case "REQ", "RESP", "TRAILER", "DYNAMIC_METADATA", "FILTER_STATE":
		if argument == "" {
			return nil, errors.New("it needs an argument")
		}
		return keyedOperator(name, argument)
	case "START_TIME":
		c, err := parseClock(argument)
		return &operator{clock: c}, err
	}
	if argument != "" {
		return nil, errors.New("it takes no argument")
	}
	if str, ok := strOperators[name]; ok {
		return &operator{str: str, column: strings.HasSuffix(name, "_DETAILS")}, nil
	}
	if num, ok := numOperators[name]; ok {
		return &operator{num: num}, nil
	}
	if d, ok := durationOperators[name]; ok {
		return &operator{duration: d}, nil
	}
	if side, ok := strings.CutSuffix(name, "_ADDRESS_WITHOUT_PORT"); ok && addressOperators[side] != nil {
		return &operator{address: addressOperators[side], part: addressHost}, nil
	}
	if side, ok := strings.CutSuffix(name, "_PORT"); ok && addressOperators[side] != nil {
		return &operator{address: addressOperators[side], part: addressPort}, nil
	}
	switch name {
	case "RESPONSE_FLAGS":
		return &operator{flags: true}, nil
	case "RESPONSE_FLAGS_LONG":
		return &operator{flags: true, long: true}, nil
	}
	return nil, errors.New("no such operator")
}

// keyedOperator reads the operators that name a header or a key. X?Y is X, or Y where X is absent.
func keyedOperator(name, argument string) (*operator, error) {
	switch name {
	case "DYNAMIC_METADATA":
		return &operator{fields: metadataSlice, field: argument}, nil
	case "FILTER_STATE":
		return &operator{fields: filterSlice, field: argument}, nil
	}
	first, second, both := strings.Cut(strings.ToLower(argument), "?")
	if first == "" || both && second == "" || strings.Contains(second, "?") {
		return nil, fmt.Errorf("argument %q is not X or X?Y", argument)
	}
	o := headerOperator(name, first)
	if both {
		o.instead = headerOperator(name, second)
	}
	return o, nil
}

func headerOperator(name, header string) *operator {
	switch {
	case name == "REQ" && requestFields[header] != nil:
		return &operator{str: requestFields[header]}
	case name == "REQ":
		return &operator{fields: requestSlice, field: header}
	case name == "RESP" && responseFields[header] != nil:
		return &operator{str: responseFields[header]}
	case name == "RESP":
		return &operator{fields: responseSlice, field: header}
	}
	return &operator{fields: trailerSlice, field: header}
}

// value gives the string of an operator that has one, "" where it is absent.
func (o *operator) value(r *Record) string {
	var s string
	switch {
	case o.str != nil:
		s = *o.str(r)
	case o.fields != nil:
		s = find(*o.fields(r), o.field)
	case o.address != nil:
		host, port := splitAddress(*o.address(r))
		if s = host; o.part == addressPort {
			s = port
		}
	}
	if s == "" && o.instead != nil {
		return o.instead.own(r)
	}
	return s
}

// number gives the value of an operator that has a number; ok is false where it is absent, and isNumber where it is a
// string.
func (o *operator) number(r *Record) (n int64, ok, isNumber bool) {
	switch {
	case o.num != nil:
		return *o.num(r), true, true
	case o.duration != nil:
		d := *o.duration(r)
		return d.Milliseconds(), d >= 0, true
	}
	return 0, false, false
}

// cut shortens s to the limit.
func (o *operator) cut(s string) string {
	if o.limit > 0 && len(s) > o.limit {
		return s[:o.limit]
	}
	return s
}

// indirect says whether what is read may be another's, or not the whole: then a column that has it exactly comes first.
func (o *operator) indirect() bool { return o.instead != nil || o.address != nil || o.limit > 0 }

// set gives a record the value that was read; "" is absent.
func (o *operator) set(r *Record, s string) error {
	switch {
	case o.num != nil || o.duration != nil:
		return o.setNumber(r, s)
	case o.flags:
		r.Flags, r.OtherFlags = splitFlags(s)
	case o.address != nil:
		return o.setAddress(r, s)
	case !o.indirect():
		o.assign(r, s)
	case s != "" && o.cut(o.value(r)) != s:
		// The last alternative is the usual one; where that is known to be something else, it was the first.
		to := o
		if o.instead != nil && o.own(r) == "" && o.instead.own(r) == "" {
			to = o.instead
		}
		if to.own(r) == "" {
			to.assign(r, s)
		}
	}
	return nil
}

// own is value without the alternative, for a string.
func (o *operator) own(r *Record) string {
	if o.str != nil {
		return *o.str(r)
	}
	return find(*o.fields(r), o.field)
}

func (o *operator) assign(r *Record, s string) {
	if o.str != nil {
		*o.str(r) = s
		return
	}
	put(o.fields(r), o.field, s)
}

func (o *operator) setNumber(r *Record, s string) error {
	if s == "" {
		if o.duration != nil {
			*o.duration(r) = Absent
		}
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || o.duration != nil && (n < 0 || n > int64(1<<62/time.Millisecond)) {
		return fmt.Errorf("read %s: %q is not a number", o.text, s)
	}
	if o.num != nil {
		*o.num(r) = n
		return nil
	}
	*o.duration(r) = time.Duration(n) * time.Millisecond
	return nil
}

// splitAddress parts IP:PORT; what has no port is all host.
func splitAddress(s string) (host, port string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || !isPort(s[i+1:]) || strings.IndexByte(s[:i], ':') >= 0 && s[i-1] != ']' {
		return s, ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]"), s[i+1:]
}

func isPort(s string) bool { return s != "" && len(s) <= 5 && digitsAtBegin(s) == len(s) }

// setAddress sets one part of an address of which nothing or the other part is known.
func (o *operator) setAddress(r *Record, s string) error {
	to := o.address(r)
	host, port := splitAddress(*to)
	switch {
	case s == "":
		return nil
	case o.part == addressPort && !isPort(s):
		return fmt.Errorf("read %s: %q is no port", o.text, s)
	case o.part == addressPort && port == "":
		port = s
	case o.part == addressHost && host == "":
		host = s
	}
	if *to = host; port != "" {
		*to = net.JoinHostPort(host, port)
	}
	return nil
}
