package proxy

import "bytes"

// normalizePath brings the path of the target into the form in which routes are compared, and in which the upstream gets it
// too, so that the two cannot read it differently (RFC 3986, 6.2.2, as Envoy's normalize_path): unreserved characters are
// not escaped, and there are no dot segments. With merge, "//" is "/". Escaped slashes stay escaped. The path only gets
// shorter, so all happens in place.
func (h *head) normalizePath(merge bool) {
	target := h.target()
	if len(target) == 0 || target[0] != '/' {
		return // OPTIONS *, CONNECT
	}
	path, query := target, []byte(nil)
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		path, query = target[:i], target[i:]
	}
	if !odd(path, merge) {
		return
	}
	path = dropDots(unescape(path))
	if merge {
		path = mergeSlashes(path)
	}
	n := copy(target[len(path):], query)
	h.targetEnd = h.targetStart + len(path) + n
}

// odd says whether a path may have another form. Nearly none has.
func odd(path []byte, merge bool) bool {
	return bytes.IndexByte(path, '%') >= 0 || bytes.Contains(path, []byte("/.")) || merge && bytes.Contains(path, []byte("//"))
}

// unescape decodes %XX of unreserved characters, in place.
func unescape(path []byte) []byte {
	out := path[:0]
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			hi, lo := unhex(path[i+1]), unhex(path[i+2])
			if hi >= 0 && lo >= 0 && unreserved(byte(hi<<4|lo)) {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		out = append(out, c)
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// dropDots removes "." and ".." segments, in place. There is nothing above the root.
func dropDots(path []byte) []byte {
	out := path[:0]
	for i := 0; i < len(path); {
		end := len(path) // path[i] is the slash before a segment
		if j := bytes.IndexByte(path[i+1:], '/'); j >= 0 {
			end = i + 1 + j
		}
		last := end == len(path)
		switch string(path[i+1 : end]) {
		case ".":
		case "..":
			out = out[:max(bytes.LastIndexByte(out, '/'), 0)]
		default:
			out = append(out, path[i:end]...)
			i = end
			continue
		}
		if last {
			out = append(out, '/')
		}
		i = end
	}
	if len(out) == 0 {
		return append(out, '/')
	}
	return out
}

func mergeSlashes(path []byte) []byte {
	out := path[:0]
	for i, c := range path {
		if c != '/' || i == 0 || out[len(out)-1] != '/' {
			out = append(out, c)
		}
	}
	return out
}
