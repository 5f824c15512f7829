package accesslog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// place is where in a line a value stands, which says what must be escaped there.
type place struct {
	quoted  bool
	end     byte       // begins the text behind the value; a line feed at the end of the line
	special *[256]bool // what must be escaped, or looked at: quotes, controls, blanks outside of quotes, end, and no ASCII
}

// setSpecial fills in special, which places that are alike share.
func (p *place) setSpecial(shared map[place]*[256]bool) {
	key := place{quoted: p.quoted, end: p.end}
	if shared[key] == nil {
		t := new([256]bool)
		for i := range t {
			c := byte(i)
			t[i] = c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == p.end || c == ' ' && !p.quoted
		}
		shared[key] = t
	}
	p.special = shared[key]
}

// appendEscaped writes s so that unescape gives it back and nothing in it ends the value.
func (p *place) appendEscaped(dst []byte, s string) []byte {
	for {
		i := 0
		for i < len(s) && !p.special[s[i]] {
			i++
		}
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return dst
		}
		s = s[i:]
		size := 1
		if s[0] >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s); (r != utf8.RuneError || size > 1) && unicode.IsPrint(r) {
				dst = append(dst, s[:size]...)
				s = s[size:]
				continue
			}
		}
		for i := range size {
			dst = appendSpecial(dst, s[i])
		}
		s = s[size:]
	}
}

func appendSpecial(dst []byte, c byte) []byte {
	if c == '"' || c == '\\' {
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

// escapeLength gives the length of the escape at the begin of s, 0 where there is none.
func escapeLength(s string) int {
	switch {
	case len(s) < 2 || s[0] != '\\':
		return 0
	case s[1] == '"' || s[1] == '\\':
		return 2
	case len(s) >= 4 && s[1] == 'x' && isHex(s[2]) && isHex(s[3]):
		return 4
	}
	return 0
}

// unescape is the inverse of appendEscaped. It allocates only where there is an escape.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		switch n := escapeLength(s[i:]); n {
		case 0:
			out = append(out, s[i])
			i++
		case 2:
			out = append(out, s[i+1])
			i += 2
		default:
			out = append(out, hexValue(s[i+2])<<4|hexValue(s[i+3]))
			i += n
		}
	}
	return string(out)
}

// endOf gives where a value ends: before the first text that is no part of an escape; -1 where it does not end. Text ""
// is the end of the line.
func (p *place) endOf(s, text string) int {
	for i := 0; i < len(s); i++ {
		if n := escapeLength(s[i:]); n > 0 {
			i += n - 1
			continue
		}
		if text != "" && s[i] == text[0] && strings.HasPrefix(s[i:], text) {
			return i
		}
		if !p.quoted && (s[i] == ' ' || s[i] == '"') {
			return -1 // a column too many, so this is another format
		}
	}
	if text == "" {
		return len(s)
	}
	return -1
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
