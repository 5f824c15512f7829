package proxy

import (
	"bytes"
	"io"
)

// A body reads what follows a head. Chunks are taken apart, and made anew on the other side.
type body struct {
	kind  bodyKind
	phase chunkPhase
	left  int64 // bytes of the body, or of the chunk
	n     int64 // read so far, without the framing
	// excess is how much more framing than content has come, beyond what is usual.
	excess   int64
	trailers *head
	limits   headLimits
}

type bodyKind uint8

const (
	noBody bodyKind = iota
	sizedBody
	chunkedBody
	closedBody // ends with the connection
)

type chunkPhase uint8

const (
	chunkSize chunkPhase = iota
	chunkBytes
	chunkEnd
	chunkTrailers
	chunkOver
)

const (
	// maxChunkLine bounds a chunk's size and its extensions, which nobody uses.
	maxChunkLine = 256
	// maxExcess bounds the framing that is more than a body of small chunks needs.
	maxExcess = 16 << 10
	// maxTrailers bounds trailers, by bytes.
	maxTrailers = 8 << 10
)

// start makes ready to read the body behind a head.
func (b *body) start(kind bodyKind, length int64, trailers *head) {
	*b = body{kind: kind, left: length, trailers: trailers, limits: b.limits}
	if kind == sizedBody && length == 0 {
		b.kind = noBody
	}
}

// over says that all of it was read.
func (b *body) over() bool {
	switch b.kind {
	case noBody:
		return true
	case sizedBody:
		return b.left == 0
	case chunkedBody:
		return b.phase == chunkOver
	}
	return false
}

// read gives what has come of the body; io.EOF at its end. Without a source it gives what is at hand, perhaps nothing.
func (b *body) read(w *wire, p []byte, s source) (n int, err error) {
	if b.over() {
		return 0, io.EOF
	}
	switch b.kind {
	case sizedBody:
		n, err = w.take(p[:min(int64(len(p)), b.left)], s)
		b.left -= int64(n)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	case closedBody:
		n, err = w.take(p, s)
		if err == io.EOF {
			b.kind = noBody
		}
	default:
		n, err = b.readChunks(w, p, s)
	}
	b.n += int64(n)
	return n, err
}

func (b *body) readChunks(w *wire, p []byte, s source) (n int, err error) {
	for n < len(p) {
		more := false
		switch b.phase {
		case chunkSize:
			more, err = b.readSize(w)
		case chunkBytes:
			var m int
			m, more, err = b.readChunk(w, p[n:], n == 0, s)
			n += m
		case chunkEnd:
			more, err = b.readChunkEnd(w)
		case chunkTrailers:
			more, err = b.readTrailers(w)
		case chunkOver:
			if n == 0 {
				err = io.EOF
			}
			return n, err
		}
		if err != nil {
			return n, err
		}
		if !more {
			continue
		}
		if n > 0 || s == nil {
			return n, nil
		}
		if err = b.fill(w, s); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (b *body) fill(w *wire, s source) error {
	switch err := w.fill(s); err {
	case io.EOF:
		return io.ErrUnexpectedEOF
	case errBufferFull:
		return badChunk
	default:
		return err
	}
}

// readChunk reads of a chunk. Only if it is the first may it wait, and then it reads past the buffer.
func (b *body) readChunk(w *wire, p []byte, first bool, s source) (n int, more bool, err error) {
	p = p[:min(int64(len(p)), b.left)]
	if w.r == w.w {
		if !first || s == nil {
			return 0, true, nil
		}
		if int64(len(p)) < 512 {
			return 0, true, nil // so little that its end may come with it
		}
	}
	if n, err = w.take(p, s); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if b.left -= int64(n); b.left == 0 {
		b.phase = chunkEnd
	}
	return n, false, err
}

// readSize reads the line before a chunk.
func (b *body) readSize(w *wire) (more bool, err error) {
	line := w.unread()
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		if len(line) > maxChunkLine {
			return false, badChunk
		}
		return true, nil
	}
	if end == 0 || end > maxChunkLine || line[end-1] != '\r' {
		return false, badChunk
	}
	size, ok := parseChunkSize(line[:end-1])
	if !ok {
		return false, badChunk
	}
	w.r += end + 1
	b.left, b.phase = size, chunkBytes
	if b.excess = max(b.excess+int64(end)+3-16-2*size, 0); b.excess > maxExcess {
		return false, badChunk
	}
	if size == 0 {
		b.phase = chunkTrailers
		w.compact()
		b.trailers.reset(w, trailerHead)
	}
	return false, nil
}

// parseChunkSize reads hexadecimal digits and extensions, which begin with a semicolon and mean nothing.
func parseChunkSize(line []byte) (int64, bool) {
	var n int64
	i := 0
	for ; i < len(line) && hexByte[line[i]]; i++ {
		if i == 15 {
			return 0, false
		}
		c := line[i]
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		n = n<<4 | int64(c)
	}
	if i == 0 || i < len(line) && line[i] != ';' || !validBytes(line[i:]) {
		return 0, false
	}
	return n, true
}

func (b *body) readChunkEnd(w *wire) (more bool, err error) {
	have := w.unread()
	if len(have) > 0 && have[0] != '\r' || len(have) > 1 && have[1] != '\n' {
		return false, badChunk
	}
	if len(have) < 2 {
		return true, nil
	}
	w.r += 2
	b.phase = chunkSize
	return false, nil
}

func (b *body) readTrailers(w *wire) (more bool, err error) {
	done, bad := b.trailers.scan(headLimits{fields: b.limits.fields, size: min(b.limits.size, maxTrailers)})
	if bad != nil {
		return false, badTrailers
	}
	if !done {
		return true, nil
	}
	w.r = b.trailers.next
	b.phase = chunkOver
	return false, nil
}

// appendChunk frames the last n bytes of out, before which there are chunkRoom bytes free.
func appendChunk(out []byte, n int) []byte {
	if n == 0 {
		return out[:len(out)-chunkRoom]
	}
	var digits [chunkRoom]byte
	at := chunkRoom - 2
	digits[at], digits[at+1] = '\r', '\n'
	for size := n; size > 0; size >>= 4 {
		at--
		digits[at] = "0123456789abcdef"[size&15]
	}
	from := len(out) - n - chunkRoom
	m := copy(out[from:], digits[at:])
	if at > 0 {
		copy(out[from+m:], out[from+chunkRoom:])
		out = out[:len(out)-at]
	}
	return append(out, '\r', '\n')
}

// chunkRoom is what a chunk's size takes up to 64 KB, with its line end.
const chunkRoom = 7

// appendLastChunk ends a body of chunks, with the trailers that may be passed on.
func appendLastChunk(out []byte, trailers *head) []byte {
	out = append(out, "0\r\n"...)
	for i := range trailers.fields {
		if f := &trailers.fields[i]; f.id == headerOther || f.id == headerGRPCStatus {
			out = append(out, trailers.bytes(f.start, f.end)...)
		}
	}
	return append(out, '\r', '\n')
}
