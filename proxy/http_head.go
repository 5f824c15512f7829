package proxy

import (
	"bytes"
	"encoding/binary"
	"math"
)

// A head is the head of a message, or the trailers of one, read in place: its parts are offsets into a wire's buffer,
// which stay true when the buffer grows.
type head struct {
	w       *wire
	kind    headKind
	fields  []field
	next    int // where the line to be looked at begins
	started bool

	lineEnd, lineLen       int // of the start line, without its CRLF
	methodEnd              int
	targetStart, targetEnd int
	authority              span // of an absolute target
	minor                  int  // of HTTP/1
	status                 int

	at       [headerCount]uint16 // the first field of a kind, counted from one
	length   int64               // Content-Length, -1 without one
	chunked  bool
	closing  bool // Connection: close
	keep     bool // Connection: keep-alive
	upgrade  bool // Connection: upgrade
	named    bool // Connection names other headers
	expect   bool // Expect: 100-continue
	absolute bool
}

type headKind uint8

const (
	requestHead headKind = iota
	responseHead
	trailerHead
)

type span struct{ from, to int }

// A field is one header line: offsets of its name, its value and the whole with its CRLF.
type field struct {
	start, nameEnd, value, valueEnd, end uint32
	id                                   headerID
	skip                                 bool
}

// headLimits bound a head.
type headLimits struct {
	fields, size int
}

// A refusal says that a message is not taken: the status to answer with, and what the log says.
type refusal struct {
	status  int
	details string
}

func (r *refusal) Error() string { return r.details }

// Why a message is refused. Where Envoy has a word for it, it is that.
var (
	badLineEnd     = &refusal{400, "http1.bare_lf"}
	badStartLine   = &refusal{400, "http1.bad_request_line"}
	badMethod      = &refusal{400, "http1.invalid_method"}
	badTarget      = &refusal{400, "http1.invalid_url"}
	badVersion     = &refusal{505, "http1.unsupported_version"}
	badName        = &refusal{400, "http1.invalid_header_name"}
	badFold        = &refusal{400, "http1.obs_fold"}
	badValue       = &refusal{400, "http1.invalid_characters"}
	badLength      = &refusal{400, "http1.invalid_content_length"}
	twoLengths     = &refusal{400, "http1.duplicate_content_length"}
	lengthAndChunk = &refusal{400, "http1.content_length_and_chunked_not_allowed"}
	badCoding      = &refusal{501, "http1.invalid_transfer_encoding"}
	noCoding       = &refusal{400, "http1.empty_transfer_encoding"}
	twoCodings     = &refusal{400, "http1.duplicate_transfer_encoding"}
	oldCoding      = &refusal{400, "http1.transfer_encoding_in_http_1_0"}
	noHost         = &refusal{400, "http1.missing_host"}
	twoHosts       = &refusal{400, "http1.duplicate_host"}
	badHost        = &refusal{400, "http1.invalid_host"}
	tooManyFields  = &refusal{431, "http1.too_many_headers"}
	headTooLong    = &refusal{431, "http1.headers_too_large"}
	targetTooLong  = &refusal{414, "http1.url_too_long"}
	tooSlow        = &refusal{408, "request_header_timeout"}
	badChunk       = &refusal{400, "http1.invalid_chunk"}
	badTrailers    = &refusal{400, "http1.invalid_trailers"}
	bodyTooSlow    = &refusal{408, "stream_idle_timeout"}
)

// reset makes ready to read a head that begins at the first unread byte; without a wire it forgets what there was.
func (h *head) reset(w *wire, kind headKind) {
	*h = head{w: w, kind: kind, fields: h.fields[:0], length: -1}
	if w != nil {
		h.next = w.r
	}
}

func (h *head) bytes(f, t uint32) []byte { return h.w.buf[f:t] }
func (h *head) name(f *field) []byte     { return h.w.buf[f.start:f.nameEnd] }
func (h *head) valueOf(f *field) []byte  { return h.w.buf[f.value:f.valueEnd] }
func (h *head) method() []byte           { return h.w.buf[:h.methodEnd] }
func (h *head) target() []byte           { return h.w.buf[h.targetStart:h.targetEnd] }
func (h *head) has(id headerID) bool     { return h.at[id] != 0 }
func (h *head) slice(s span) []byte      { return h.w.buf[s.from:s.to] }

// get gives the value of the first header of a kind, nil without one.
func (h *head) get(id headerID) []byte {
	if i := h.at[id]; i > 0 {
		return h.valueOf(&h.fields[i-1])
	}
	return nil
}

// find gives the value of the first header of a name in lower case, nil without one.
func (h *head) find(name string) []byte {
	for i := range h.fields {
		if f := &h.fields[i]; equalFold(h.name(f), name) {
			return h.valueOf(f)
		}
	}
	return nil
}

// scan looks at the lines that have come. It may be called again when there are more, and says whether it was the last.
func (h *head) scan(l headLimits) (done bool, bad *refusal) {
	b := h.w.buf[:h.w.w]
	for {
		n := bytes.IndexByte(b[h.next:], '\n')
		if n < 0 {
			if len(b)-h.w.r > l.size {
				return false, h.tooLong()
			}
			return false, h.bareReturn(b[h.next:])
		}
		start, line := h.next, b[h.next:h.next+n]
		h.next += n + 1
		if n == 0 || line[n-1] != '\r' {
			return false, badLineEnd
		}
		line = line[:n-1]
		if h.next-h.w.r > l.size {
			return false, h.tooLong()
		}
		switch {
		case !h.started && h.kind != trailerHead:
			h.started, h.lineEnd, h.lineLen = true, start+len(line), len(line)
			if bad = h.startLine(line); bad != nil {
				return false, bad
			}
		case len(line) == 0:
			return true, h.check()
		default:
			if len(h.fields) == l.fields {
				return false, tooManyFields
			}
			if bad = h.field(start, line); bad != nil {
				return false, bad
			}
		}
	}
}

func (h *head) tooLong() *refusal {
	if !h.started && h.kind == requestHead {
		return targetTooLong
	}
	return headTooLong
}

// bareReturn refuses a line with a return in it before its end has come: there is no use in waiting for more.
func (h *head) bareReturn(rest []byte) *refusal {
	if i := bytes.IndexByte(rest, '\r'); i >= 0 && i < len(rest)-1 {
		return badLineEnd
	}
	return nil
}

func (h *head) startLine(line []byte) *refusal {
	if h.kind == responseHead {
		return h.statusLine(line)
	}
	return h.requestLine(line)
}

// field takes in one header line.
func (h *head) field(start int, line []byte) *refusal {
	n := 0
	for n < len(line) && tokenByte[line[n]] {
		n++
	}
	if n == 0 && (line[0] == ' ' || line[0] == '\t') {
		return badFold
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		return badName
	}
	from, to := n+1, len(line)
	for from < to && (line[from] == ' ' || line[from] == '\t') {
		from++
	}
	for from < to && (line[to-1] == ' ' || line[to-1] == '\t') {
		to--
	}
	value := line[from:to]
	if !validValue(value) {
		return badValue
	}
	f := field{start: uint32(start), nameEnd: uint32(start + n), value: uint32(start + from), valueEnd: uint32(start + to), end: uint32(start + len(line) + 2)}
	f.id = identify(line[:n])
	h.fields = append(h.fields, f)
	if f.id == headerOther {
		return nil
	}
	first := h.at[f.id] == 0
	if first {
		h.at[f.id] = uint16(min(len(h.fields), math.MaxUint16))
	}
	return h.meaning(f.id, value, first)
}

// meaning takes in what a header says about the message itself.
func (h *head) meaning(id headerID, value []byte, first bool) *refusal {
	switch id {
	case headerContentLength:
		if !first {
			return twoLengths
		}
		n, ok := parseLength(value)
		if !ok {
			return badLength
		}
		h.length = n
	case headerTransferEncoding:
		if !first {
			return twoCodings
		}
		if len(value) == 0 {
			return noCoding
		}
		if !equalFold(value, "chunked") {
			return badCoding
		}
		h.chunked = true
	case headerHost:
		if !first {
			return twoHosts
		}
		if h.kind == requestHead && !validHost(value) {
			return badHost
		}
	case headerExpect:
		h.expect = h.expect || equalFold(value, "100-continue")
	case headerConnection:
		h.connection(value)
	}
	return nil
}

// connection takes in the options of a Connection header.
func (h *head) connection(value []byte) {
	for option := range eachToken(value) {
		switch {
		case equalFold(option, "close"):
			h.closing = true
		case equalFold(option, "keep-alive"):
			h.keep = true
		case equalFold(option, "upgrade"):
			h.upgrade = true
		default:
			h.named = true
		}
	}
}

// eachToken yields the members of a list.
func eachToken(list []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(list) > 0 {
			var item []byte
			item, list, _ = bytes.Cut(list, comma)
			if item = bytes.Trim(item, " \t"); len(item) > 0 && !yield(item) {
				return
			}
		}
	}
}

var comma = []byte{','}

// check looks at the head as a whole.
func (h *head) check() *refusal {
	if h.kind == trailerHead {
		return nil
	}
	if h.chunked && h.length >= 0 {
		return lengthAndChunk
	}
	if h.chunked && h.minor == 0 {
		return oldCoding
	}
	if h.kind == requestHead && h.minor == 1 && !h.has(headerHost) {
		return noHost
	}
	return nil
}

// parseLength reads digits and nothing else.
func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// validValue says whether a header's value has no control characters but tabs.
func validValue(v []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(v) >= 8 {
		x := binary.LittleEndian.Uint64(v)
		low := (x - 0x20*ones) &^ x
		del := x ^ 0x7f*ones
		if (low|(del-ones)&^del)&high != 0 && !validBytes(v[:8]) {
			return false
		}
		v = v[8:]
	}
	return validBytes(v)
}

func validBytes(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// equalFold says whether b is s, which is in lower case, but for the case of its letters.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
