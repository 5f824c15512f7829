package proxy

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/accesslog"
)

// A localReply is a response of our own.
type localReply struct {
	code    int
	flags   accesslog.Flags
	details string
	body    string
	extra   string // whole header lines
}

// reply answers in place of an upstream. What is left of the request's body ends the connection.
func (x *exchange) reply(r localReply) {
	x.code, x.details = r.code, r.details
	x.flags |= r.flags
	if !x.body.over() {
		x.keep = false
	}
	if x.c.d.draining() {
		x.keep = false
	}
	x.now = time.Now()
	out := append(x.out[:0], "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(r.code), 10)
	out = append(append(append(out, ' '), http.StatusText(r.code)...), "\r\n"...)
	bodiless := r.code == http.StatusNoContent || r.code == http.StatusNotModified
	if !bodiless {
		out = append(out, "content-length: "...)
		out = strconv.AppendInt(out, int64(len(r.body)), 10)
		out = append(out, "\r\n"...)
	}
	if r.body != "" && !bodiless {
		out = append(out, "content-type: text/plain\r\n"...)
	}
	out = append(out, r.extra...)
	if x.route != nil {
		for _, h := range x.route.SetResponse {
			out = appendHeader(out, h.Name, h.Value)
		}
	}
	out = x.c.appendDate(out, x.now)
	out = appendHeader(out, "server", x.c.server)
	out = x.appendConnection(out)
	out = append(out, "\r\n"...)
	if !bodiless && string(x.req.methodOrNone()) != "HEAD" {
		out = append(out, r.body...)
		x.sent = int64(len(r.body))
	}
	x.out = out
	x.respAt, x.responded = x.now, true
	if !x.write(out) {
		return
	}
	if !x.keep && !x.body.over() {
		x.c.linger()
	}
}

// methodOrNone is the method, as far as there is a head.
func (h *head) methodOrNone() []byte {
	if h.w == nil || h.methodEnd > len(h.w.buf) {
		return nil
	}
	return h.w.buf[:h.methodEnd]
}

// refuse answers a request that breaks the protocol or a limit. The connection ends: nobody knows where the next request
// would begin.
func (x *exchange) refuse(r *refusal) {
	x.keep = false
	x.reply(localReply{code: r.status, flags: accesslog.DownstreamProtocolError, details: r.details})
	if x.body.over() {
		x.c.linger()
	}
}

// replyFailure answers a request that no attempt brought a response for.
func (x *exchange) replyFailure(f *failedTry) {
	if f.client {
		x.clientBroke()
		return
	}
	x.transport = f.transport
	r := localReply{code: f.code, flags: f.flags, details: f.details, body: f.body}
	if f.reason != "" {
		r.body = "upstream connect error or disconnect/reset before headers. reset reason: " + f.reason
		r.details = "upstream_reset_before_response_started{" + f.reason
		if f.transport != "" {
			r.body += ", transport failure reason: " + f.transport
			r.details += "|" + f.transport
		}
		r.details = strings.ReplaceAll(r.details+"}", " ", "_")
	}
	if f.flags&accesslog.UpstreamOverflow != 0 {
		r.extra = "x-envoy-overloaded: true\r\n"
	}
	x.reply(r)
}

// clientBroke ends an exchange that the client left, or whose body it got wrong.
func (x *exchange) clientBroke() {
	if u := x.upload; u != nil && u.err != nil && !x.responded {
		x.badBody(u.err)
		return
	}
	x.gone()
}

// appendConnection writes what becomes of the connection, where that goes without saying for neither side.
func (x *exchange) appendConnection(out []byte) []byte {
	switch {
	case !x.keep:
		return append(out, "connection: close\r\n"...)
	case x.req.minor == 0:
		return append(out, "connection: keep-alive\r\n"...)
	}
	return out
}

func appendHeader(out []byte, name, value string) []byte {
	out = append(append(out, name...), ": "...)
	return append(append(out, value...), "\r\n"...)
}

// A dateLine is a date header, which is the same for a second.
type dateLine struct {
	second int64
	line   string
}

func (h *httpManager) appendDate(out []byte, now time.Time) []byte {
	d := h.date.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &dateLine{second, "date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		h.date.Store(d)
	}
	return append(out, d.line...)
}
