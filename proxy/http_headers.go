package proxy

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
)

// hopByHop are the headers between two neighbours alone.
var hopByHop = []headerID{headerConnection, headerKeepAlive, headerProxyConnection, headerTE, headerTransferEncoding, headerUpgrade}

// chooseDrops settles which headers are not passed on as they came: they are between neighbours alone, or ours to write.
func (h *httpManager) chooseDrops() {
	for _, id := range hopByHop {
		h.dropRequest[id], h.dropResponse[id] = true, true
	}
	if h.config.PeerExchange {
		for _, id := range []headerID{headerPeerID, headerPeerMetadata} {
			h.dropRequest[id], h.dropResponse[id] = true, true
		}
	}
	h.dropRequest[headerClientCert] = h.config.ClientCert != ClientCertForwardOnly
	h.dropRequest[headerAttemptCount] = h.direction == Outbound
	if h.config.RemoteAddress {
		h.dropRequest[headerForwardedFor], h.dropRequest[headerForwardedProto] = true, true
	}
	h.dropResponse[headerServer] = !h.config.PassServerName
	h.dropResponse[headerServiceTime] = true
}

// appendFields copies the fields that are passed on. They mostly lie side by side, and are copied together.
func (h *head) appendFields(out []byte, drop *[headerCount]bool) []byte {
	b := h.w.buf
	var start, end uint32
	for i := range h.fields {
		f := &h.fields[i]
		switch {
		case drop[f.id] || f.skip:
		case f.start == end:
			end = f.end
		default:
			out = append(out, b[start:end]...)
			start, end = f.start, f.end
		}
	}
	return append(out, b[start:end]...)
}

// dropNamed leaves out what Connection names. What means something to a proxy cannot be named away.
func (h *head) dropNamed() {
	if !h.named {
		return
	}
	for i := range h.fields {
		if h.fields[i].id != headerConnection {
			continue
		}
		for option := range eachToken(h.valueOf(&h.fields[i])) {
			for j := range h.fields {
				f := &h.fields[j]
				if f.id == headerOther && len(option) == int(f.nameEnd-f.start) && equalNames(option, h.name(f)) {
					f.skip = true
				}
			}
		}
	}
}

func equalNames(a, b []byte) bool {
	for i, c := range a {
		d := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if 'A' <= d && d <= 'Z' {
			d |= 0x20
		}
		if c != d {
			return false
		}
	}
	return true
}

// dropName leaves out every field of a name, whatever its case.
func (h *head) dropName(name string) {
	for i := range h.fields {
		f := &h.fields[i]
		if n := h.name(f); len(n) == len(name) && equalNames(n, []byte(name)) {
			f.skip = true
		}
	}
}

// change applies what a route says about headers: some are left out, some replaced.
func (h *head) change(set []Header, remove []string) {
	for _, name := range remove {
		h.dropName(name)
	}
	for _, s := range set {
		if !s.Append {
			h.dropName(s.Name)
		}
	}
}

func appendHeaders(out []byte, set []Header) []byte {
	for _, s := range set {
		out = appendHeader(out, s.Name, s.Value)
	}
	return out
}

// appendRequest writes the head of the request for the upstream.
func (x *exchange) appendRequest(out []byte) []byte {
	h, c, b := &x.req, x.c, x.c.in.buf
	if x.attempts <= 1 {
		x.req.dropNamed()
		h.change(x.route.SetRequest, x.route.RemoveRequest)
	}
	out = append(append(out, h.method()...), ' ')
	out = x.route.appendPath(out, h)
	out = append(out, " HTTP/1.1\r\n"...)
	if i := h.at[headerHost]; h.absolute || x.route.HostRewrite != "" || i == 0 {
		out = append(out, "host: "...)
		if x.route.HostRewrite != "" {
			out = append(out, x.route.HostRewrite...)
		} else {
			out = append(out, h.host()...)
		}
		out = append(out, "\r\n"...)
		if i > 0 {
			h.fields[i-1].skip = true
		}
	}
	forwardCert := c.config.ClientCert == ClientCertForwardOnly
	if i := h.at[headerClientCert]; i > 0 && forwardCert && c.d.certificate() == nil {
		h.fields[i-1].skip = true
	}
	if c.config.RemoteAddress {
		h.dropInternal()
	}
	out = h.appendFields(out, &c.dropRequest)
	if h.chunked {
		out = append(out, "transfer-encoding: chunked\r\n"...)
	}
	if i := h.at[headerTE]; i > 0 && equalFold(h.get(headerTE), "trailers") {
		out = append(out, b[h.fields[i-1].start:h.fields[i-1].end]...)
	}
	if x.tunnel {
		out = append(append(append(out, "connection: upgrade\r\nupgrade: "...), h.get(headerUpgrade)...), "\r\n"...)
	}
	out = x.appendForwarded(out)
	out = appendHeaders(out, x.route.SetRequest)
	return append(out, "\r\n"...)
}

// appendForwarded writes what proxies add to requests.
func (x *exchange) appendForwarded(out []byte) []byte {
	h, c := &x.req, x.c
	if c.config.RemoteAddress || !h.has(headerForwardedProto) {
		proto := "http"
		if c.d.tls != nil {
			proto = "https"
		}
		out = appendHeader(out, "x-forwarded-proto", proto)
	}
	if c.config.RemoteAddress {
		out = append(out, "x-forwarded-for: "...)
		for i := range h.fields {
			if f := &h.fields[i]; f.id == headerForwardedFor && f.valueEnd > f.value {
				out = append(append(out, h.valueOf(f)...), ',')
			}
		}
		out = append(c.d.remote.Addr().AppendTo(out), "\r\n"...)
	}
	if !h.has(headerRequestID) {
		out = append(out, "x-request-id: "...)
		at := len(out)
		out = appendUUID(out)
		copy(x.requestID[:], out[at:])
		out = append(out, "\r\n"...)
	}
	if c.direction == Outbound {
		out = append(out, "x-envoy-attempt-count: "...)
		out = append(strconv.AppendInt(out, int64(x.attempts), 10), "\r\n"...)
		out = append(out, c.own...)
	}
	return x.appendClientCert(out)
}

// dropInternal leaves out what proxies of the mesh tell each other: a client at the edge has no say there.
func (h *head) dropInternal() {
	for i := range h.fields {
		f := &h.fields[i]
		if name := h.w.buf[f.start:f.nameEnd]; len(name) > len(internalPrefix) && equalFold(name[:len(internalPrefix)], internalPrefix) {
			f.skip = true
		}
	}
}

const internalPrefix = "x-envoy-"

// appendClientCert writes x-forwarded-client-cert where it is not passed on as it came.
func (x *exchange) appendClientCert(out []byte) []byte {
	mode := x.c.config.ClientCert
	if mode != ClientCertAppendForward && mode != ClientCertSanitizeSet {
		return out
	}
	element := x.c.clientCert()
	if element == "" {
		return out
	}
	out = append(out, "x-forwarded-client-cert: "...)
	if before := x.req.get(headerClientCert); mode == ClientCertAppendForward && len(before) > 0 {
		out = append(append(out, before...), ',')
	}
	return append(append(out, element...), "\r\n"...)
}

// appendUUID writes a random UUID, version 4.
func appendUUID(out []byte) []byte {
	var b [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		b[i], b[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, part)
	}
	return out
}

// appendResponse writes the head of the response for the client.
func (x *exchange) appendResponse(out []byte) []byte {
	h, c := &x.resp, x.c
	out = x.appendStatus(out)
	h.dropNamed()
	h.change(x.route.SetResponse, x.route.RemoveResponse)
	out = h.appendFields(out, &c.dropResponse)
	if !h.has(headerDate) {
		out = c.appendDate(out, x.now)
	}
	if !c.config.PassServerName || !h.has(headerServer) {
		out = appendHeader(out, "server", c.server)
	}
	out = append(out, "x-envoy-upstream-service-time: "...)
	out = append(strconv.AppendInt(out, x.serviceTime(), 10), "\r\n"...)
	if c.direction == Inbound && x.req.has(headerPeerID) {
		out = append(out, c.own...)
	}
	if x.chunks {
		out = append(out, "transfer-encoding: chunked\r\n"...)
	}
	out = appendHeaders(out, x.route.SetResponse)
	if h.status == 101 {
		out = append(append(append(out, "connection: upgrade\r\nupgrade: "...), h.get(headerUpgrade)...), "\r\n"...)
	} else {
		out = x.appendConnection(out)
	}
	return append(out, "\r\n"...)
}

// appendStatus writes the status line as it came, with the version that the client speaks.
func (x *exchange) appendStatus(out []byte) []byte {
	version := "HTTP/1.1"
	if x.req.minor == 0 {
		version = "HTTP/1.0"
	}
	out = append(out, version...)
	b := x.resp.w.buf
	from := x.resp.lineEnd - x.resp.lineLen + len(version)
	out = append(out, b[from:x.resp.lineEnd]...)
	if x.resp.lineLen == len("HTTP/1.1 200") {
		out = append(out, ' ')
	}
	return append(out, "\r\n"...)
}

// appendInterim writes a 1xx response for the client.
func (x *exchange) appendInterim(out []byte) []byte {
	out = x.appendStatus(out)
	x.resp.dropNamed()
	out = x.resp.appendFields(out, &x.c.dropResponse)
	return append(out, "\r\n"...)
}

// serviceTime is how long the upstream took for the head of its response, in milliseconds.
func (x *exchange) serviceTime() int64 { return max(x.respAt.Sub(x.start).Milliseconds(), 0) }
