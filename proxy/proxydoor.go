package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/sniff"
)

// A replayConn gives bytes that were read ahead before it reads on.
type replayConn struct {
	tcpConn
	ahead []byte
}

func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.tcpConn.Read(p)
	}
	n := copy(p, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.ahead = nil
	}
	return n, nil
}

// maxProxyHead bounds what is read of a request to an HTTP proxy door to find out where it wants to go.
const maxProxyHead = 16 << 10

var errProxyRequest = errors.New("no request that an HTTP proxy understands")

// proxyRequest reads where the client of an HTTP proxy door wants to go. A CONNECT is answered, and what follows goes by the
// destination like any captured connection; of another request the head stays to be read, and the connection carries this
// one alone, since the next might want to go elsewhere.
func (p *Proxy) proxyRequest(d *downstream, c tcpConn, st *state) *listener {
	c.SetReadDeadline(time.Now().Add(DefaultHeaderTimeout))
	defer c.SetReadDeadline(time.Time{})
	head, err := readProxyHead(c)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
		return nil
	}
	method, authority := proxyTarget(head)
	host, port := splitAuthority(authority)
	if port == 0 {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
		return nil
	}
	address, known := p.opt.Capture.Names[strings.ToLower(host)]
	if ip, err := netip.ParseAddr(host); err == nil {
		address, known = ip, true
	}
	if !known {
		address, known = p.lookUpHost(host)
	}
	d.original = netip.AddrPortFrom(address, port)
	if method == "CONNECT" {
		if !known {
			io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
			return nil
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return nil
		}
		head = head[bytes.Index(head, []byte("\r\n\r\n"))+4:]
	} else {
		d.httpProxy = true
	}
	d.conn = sniff.NewConn(&replayConn{tcpConn: c, ahead: head})
	if l := st.find(d.original); l != nil {
		return l
	}
	return st.outbound
}

// lookUpTime bounds the look-up of a host that is not in the mesh.
const lookUpTime = 2 * time.Second

// lookUpHost asks DNS for a host that the mesh does not know. Where there is no answer the address is the unspecified one:
// a request that names its host may find a route all the same.
func (p *Proxy) lookUpHost(host string) (netip.Addr, bool) {
	ctx, cancel := context.WithTimeout(p.ctx, lookUpTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil || len(found) == 0 {
		return netip.IPv4Unspecified(), false
	}
	return found[0].Unmap(), true
}

// readProxyHead reads to the end of a head.
func readProxyHead(c net.Conn) ([]byte, error) {
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= maxProxyHead {
				return nil, errProxyRequest
			}
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if bytes.Contains(buf, []byte("\r\n\r\n")) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// proxyTarget gives the method and the authority of a request line.
func proxyTarget(head []byte) (method, authority string) {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	method, rest, _ := strings.Cut(string(line), " ")
	target, _, _ := strings.Cut(rest, " ")
	if method == "CONNECT" {
		return method, target
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(target), "http://"); ok {
		authority, _, _ = strings.Cut(rest, "/")
		authority, _, _ = strings.Cut(authority, "?")
		return method, authority
	}
	return method, ""
}

// splitAuthority gives host and port; port 80 where there is none, 0 where it is none of the kind.
func splitAuthority(s string) (string, uint16) {
	if s == "" {
		return "", 0
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return strings.Trim(s, "[]"), 80
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0
	}
	return host, uint16(port)
}
