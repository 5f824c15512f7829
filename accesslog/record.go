package accesslog

import (
	"strings"
	"time"
)

// Absent is the Duration of something that did not happen.
const Absent time.Duration = -1

// Record is one request, or one connection where the protocol has no requests. A string that is "" is absent.
//
// Strings may hold anything; a format escapes them. Addresses are IP:PORT, an IPv6 one in brackets.
type Record struct {
	Start    time.Time
	Duration time.Duration // of the whole; negative is absent. Formats print whole milliseconds

	// RequestTime, ResponseTime and ResponseSendTime are the times from the start to the last byte of the request, to
	// the first byte of the response, and between the first and the last byte of the response. Negative is absent.
	RequestTime, ResponseTime, ResponseSendTime time.Duration

	Method    string
	Path      string // with its query
	Scheme    string
	Authority string
	Protocol  string // HTTP/1.1, HTTP/2; absent for a connection
	UserAgent string
	RequestID string
	// ForwardedFor is the header x-forwarded-for.
	ForwardedFor string

	ResponseCode int64 // 0 where no response was sent
	CodeDetails  string
	Flags        Flags
	OtherFlags   string // flags of a line that Flags has no name for, joined by commas
	// TerminationDetails says why the connection was ended.
	TerminationDetails string
	BytesReceived      int64
	BytesSent          int64
	GRPCStatus         string

	UpstreamHost         string
	UpstreamCluster      string
	UpstreamLocalAddress string
	UpstreamServiceTime  string // milliseconds, as the response header x-envoy-upstream-service-time has it
	UpstreamAttempts     int64
	// UpstreamTransportFailure is why TLS failed towards the upstream, DownstreamTransportFailure towards the client.
	UpstreamTransportFailure   string
	DownstreamTransportFailure string

	DownstreamLocalAddress        string
	DownstreamRemoteAddress       string
	DownstreamDirectRemoteAddress string
	RequestedServerName           string
	RouteName                     string
	FilterChainName               string
	VirtualClusterName            string
	Hostname                      string
	ConnectionID                  int64

	Downstream, Upstream TLS

	// Request, Response and Trailers are headers that have no field of their own. A format needs only those that
	// Format.Headers lists.
	Request, Response, Trailers []Field
	// Metadata is dynamic metadata, by NAMESPACE:KEY; FilterState by its key.
	Metadata, FilterState []Field
}

// TLS is what the handshake of one side came to.
type TLS struct {
	PeerURISAN  string // the peer's SPIFFE ID
	LocalURISAN string
	PeerSubject string
	PeerIssuer  string
	Version     string // as Envoy writes it: TLSv1.3
	Cipher      string
}

// Field is a header or another value with a name. Names of headers are compared without case.
type Field struct{ Name, Value string }

// Entry is a record that was read.
type Entry struct {
	Record
	Format *Format
}

// find gives the value of a field, "" where there is none.
func find(fields []Field, name string) string {
	for i := range fields {
		if len(fields[i].Name) == len(name) && strings.EqualFold(fields[i].Name, name) {
			return fields[i].Value
		}
	}
	return ""
}

// put sets a field; "" takes it away.
func put(fields *[]Field, name, value string) {
	for i := range *fields {
		if strings.EqualFold((*fields)[i].Name, name) {
			if value == "" {
				*fields = append((*fields)[:i:i], (*fields)[i+1:]...)
				return
			}
			(*fields)[i].Value = value
			return
		}
	}
	if value != "" {
		*fields = append(*fields, Field{name, value})
	}
}
