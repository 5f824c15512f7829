package sniff

import (
	"bytes"
	"strings"
)

// preface is how a client of HTTP/2 begins (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceLine is its first line, which is enough where no more comes: nothing else begins so.
const prefaceLine = len("PRI * HTTP/2.0\r\n")

// namePreface says whether b begins with the preface, or may become one: then it is not for others to name yet.
func namePreface(b []byte, over bool) (named, open bool) {
	n := min(len(b), len(preface))
	if string(b[:n]) != preface[:n] {
		return false, false
	}
	named = n == len(preface) || over && n >= prefaceLine
	return named, !named && !over
}

// maxMethod is the longest method that is taken for one; the longest registered has 17 letters.
const maxMethod = 32

// known are the methods that are believed where the line does not come to its end.
const known = " GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH "

// lineState remembers how far a request line was looked at, so that a line that comes in pieces is looked at once.
type lineState struct {
	method  int // length of the method; 0 while it goes on
	scanned int
}

// name reads a request line: a method, a target, and a version of HTTP/1. Other text protocols begin with a word and a
// blank too (redis, RTSP, SIP), so nothing short of the version tells. Where the line is cut off, a known method before a
// path is believed.
func (s *lineState) name(b []byte, over bool) (Protocol, bool) {
	for ; s.scanned < len(b); s.scanned++ {
		c := b[s.scanned]
		switch {
		case s.method == 0 && c == ' ' && s.scanned > 0:
			s.method = s.scanned
		case s.method == 0 && (!isToken(c) || s.scanned >= maxMethod):
			return Other, true
		case c == '\n':
			return nameLine(b[s.method:s.scanned])
		case c < ' ' && c != '\r' || c == 0x7f:
			return Other, true
		}
	}
	if !over {
		return Unknown, false
	}
	if s.method > 0 && len(b) > s.method+1 && b[s.method+1] == '/' && strings.Contains(known, " "+string(b[:s.method])+" ") {
		return HTTP1, true
	}
	return Other, true
}

// nameLine judges a request line from the blank after its method to before its line feed.
func nameLine(rest []byte) (Protocol, bool) {
	rest = bytes.TrimSuffix(rest, []byte("\r"))
	target, version, ok := bytes.Cut(bytes.TrimPrefix(rest, []byte(" ")), []byte(" "))
	if !ok || len(target) == 0 || bytes.IndexByte(rest, '\r') >= 0 {
		return Other, true
	}
	if len(version) == len("HTTP/1.1") && string(version[:7]) == "HTTP/1." && (version[7] == '0' || version[7] == '1') {
		return HTTP1, true
	}
	return Other, true
}

// isToken says whether c may stand in a method (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	switch {
	case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
