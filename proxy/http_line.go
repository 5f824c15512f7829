package proxy

import (
	"bytes"
	"net/netip"
)

// requestLine reads METHOD SP TARGET SP VERSION.
func (h *head) requestLine(line []byte) *refusal {
	base := h.w.r
	n := 0
	for n < len(line) && tokenByte[line[n]] {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ' ' {
		return badMethod
	}
	h.methodEnd = base + n
	rest := line[n+1:]
	end := bytes.IndexByte(rest, ' ')
	if end < 0 {
		return badStartLine
	}
	h.targetStart, h.targetEnd = base+n+1, base+n+1+end
	target, version := rest[:end], rest[end+1:]
	switch {
	case string(version) == "HTTP/1.1":
		h.minor = 1
	case string(version) == "HTTP/1.0":
	case len(version) == 8 && bytes.HasPrefix(version, httpSlash) && digit(version[5]) && version[6] == '.' && digit(version[7]):
		return badVersion
	default:
		return badStartLine
	}
	return h.readTarget(line[:n], target)
}

var httpSlash = []byte("HTTP/")

func digit(c byte) bool { return '0' <= c && c <= '9' }

// readTarget takes a path, an absolute URL, or the asterisk of OPTIONS. CONNECT is none of our affairs: doors for it answer
// it before a request comes here.
func (h *head) readTarget(method, target []byte) *refusal {
	if !validTarget(target) {
		return badTarget
	}
	if target[0] == '/' {
		return nil
	}
	if len(target) == 1 && target[0] == '*' && string(method) == "OPTIONS" {
		return nil
	}
	scheme := bytes.Index(target, schemeEnd)
	if scheme < 0 || !equalFold(target[:scheme], "http") && !equalFold(target[:scheme], "https") {
		return badTarget
	}
	rest := target[scheme+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 || !validAuthority(rest[:end]) {
		return badTarget
	}
	from := h.targetStart + scheme + 3
	h.absolute, h.authority = true, span{from, from + end}
	h.targetStart = from + end
	return nil
}

var schemeEnd = []byte("://")

// validTarget refuses control characters, blanks, fragments and broken percent signs in the path, as every server behind us
// would have its own idea of them.
func validTarget(t []byte) bool {
	if len(t) == 0 {
		return false
	}
	query := false
	for i, c := range t {
		switch {
		case c <= ' ' || c == 0x7f || c == '#':
			return false
		case c == '?':
			query = true
		case c == '%' && !query:
			if i+2 >= len(t) || !hexByte[t[i+1]] || !hexByte[t[i+2]] {
				return false
			}
		}
	}
	return true
}

// validAuthority takes HOST, HOST:PORT and [IPV6]:PORT of a URL, whose port may be empty. What is none of them some servers cut at
// the first colon, and others at the last.
func validAuthority(v []byte) bool {
	var port []byte
	if v[0] == '[' {
		end := bytes.IndexByte(v, ']')
		if end < 0 {
			return false
		}
		if ip, err := netip.ParseAddr(string(v[1:end])); err != nil || !ip.Is6() || ip.Zone() != "" {
			return false
		}
		port = v[end+1:]
	} else {
		end := bytes.IndexByte(v, ':')
		if end < 0 {
			end = len(v)
		}
		if !validHost(v[:end]) || bytes.ContainsAny(v[:end], "[]%") {
			return false
		}
		port = v[end:]
	}
	return len(port) == 0 || port[0] == ':' && len(bytes.Trim(port[1:], "0123456789")) == 0
}

// validHost says whether an authority has only bytes that can be in one.
func validHost(v []byte) bool {
	for _, c := range v {
		if !hostByte[c] {
			return false
		}
	}
	return true
}

// statusLine reads HTTP/1.x SP CODE and an optional reason.
func (h *head) statusLine(line []byte) *refusal {
	if len(line) < 12 || !bytes.HasPrefix(line, httpSlash) || line[5] != '1' || line[6] != '.' || line[8] != ' ' {
		return badStartLine
	}
	if line[7] != '0' && line[7] != '1' {
		return badVersion
	}
	h.minor = int(line[7] - '0')
	for _, c := range line[9:12] {
		if !digit(c) {
			return badStartLine
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' || !validValue(line[12:]) {
		return badStartLine
	}
	return nil
}

// path is the target without its query.
func (h *head) path() []byte {
	t := h.target()
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		return t[:i]
	}
	return t
}

// host is the authority of a request: that of an absolute target, else the Host header's.
func (h *head) host() []byte {
	if h.absolute {
		return h.slice(h.authority)
	}
	return h.get(headerHost)
}

var (
	tokenByte = byteSet("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	hostByte  = byteSet("!$%&'()*+,-.:;=[]_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	hexByte   = byteSet("0123456789ABCDEFabcdef")
)

func byteSet(of string) (set [256]bool) {
	for _, c := range []byte(of) {
		set[c] = true
	}
	return set
}

// A headerID is a header that means something to the proxy itself.
type headerID uint8

const (
	headerOther headerID = iota
	headerTE
	headerHost
	headerDate
	headerServer
	headerExpect
	headerUpgrade
	headerTrailer
	headerLocation
	headerConnection
	headerKeepAlive
	headerUserAgent
	headerContentType
	headerContentLength
	headerRequestID
	headerGRPCStatus
	headerForwardedFor
	headerForwardedProto
	headerProxyConnection
	headerTransferEncoding
	headerClientCert
	headerAttemptCount
	headerPeerMetadata
	headerPeerID
	headerServiceTime
	headerOverloaded

	headerCount
)

// headerNames are in the order of their ids.
var headerNames = [headerCount]string{
	"", "te", "host", "date", "server", "expect", "upgrade", "trailer", "location", "connection", "keep-alive", "user-agent",
	"content-type", "content-length", "x-request-id", "grpc-status", "x-forwarded-for", "x-forwarded-proto", "proxy-connection",
	"transfer-encoding", "x-forwarded-client-cert", "x-envoy-attempt-count", metadataBody, metadataID,
	"x-envoy-upstream-service-time", "x-envoy-overloaded",
}

// headersByLength lists the ids for each length of a name.
var headersByLength = func() (out [32][]headerID) {
	for id := headerID(1); id < headerCount; id++ {
		n := len(headerNames[id])
		out[n] = append(out[n], id)
	}
	return out
}()

// identify finds a header's id.
func identify(name []byte) headerID {
	if len(name) >= len(headersByLength) {
		return headerOther
	}
	for _, id := range headersByLength[len(name)] {
		if equalFold(name, headerNames[id]) {
			return id
		}
	}
	return headerOther
}
