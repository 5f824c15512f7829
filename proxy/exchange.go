package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"google.golang.org/protobuf/encoding/protowire"
)

// Istio's metadata exchange for connections: after a handshake that agreed on its ALPN each side sends a number, a length
// and a protobuf Any of a Struct that says who it is; the client first.
const (
	exchangeALPN  = "istio-peer-exchange"
	exchangeMagic = 0x3D230467
	exchangeMax   = 64 << 10
	// exchangeTime bounds the wait for the other side's.
	exchangeTime = 5 * time.Second
	structType   = "type.googleapis.com/google.protobuf.Struct"
)

// exchangePeers tells both neighbours who we are and hears who they are, where the protocol was agreed on. false: one
// of them broke it, which the flags tell, and the connection cannot go on.
func (x *transfer) exchangePeers() bool {
	// Towards clients the listener says whether there is an exchange; towards servers the cluster does, by offering the ALPN.
	if x.tcp.config.PeerExchange && x.tls != nil && x.tls.NegotiatedProtocol == exchangeALPN {
		peer, err := readPeer(x.conn)
		if err != nil {
			x.proxy.log.Debug("exchange metadata", "client", x.remote, "err", err)
			x.flags |= accesslog.DownstreamProtocolError
			return false
		}
		if peer.Principal = x.peer.Principal; x.peer.Namespace != "" {
			peer.Namespace = x.peer.Namespace // by the certificate
		}
		x.peer = peer
		if _, err := x.conn.Write(writePeer(x.proxy.opt.Self, x.proxy.opt.NodeID)); err != nil {
			x.flags |= accesslog.DownstreamConnectionTermination
			return false
		}
	}
	if x.up.tls != nil && x.up.tls.NegotiatedProtocol == exchangeALPN {
		if _, err := x.up.conn.Write(writePeer(x.proxy.opt.Self, x.proxy.opt.NodeID)); err != nil {
			x.flags |= accesslog.UpstreamConnectionFailure
			x.failure = "TLS error: " + err.Error()
			return false
		}
		peer, err := readPeer(x.up.conn)
		if err != nil {
			x.flags |= accesslog.UpstreamConnectionFailure
			if f, ok := remoteAlert(err); ok {
				x.failure = f.text
				x.up.endpoint.countFailure(f)
			}
			x.proxy.log.Debug("exchange metadata", "server", x.up.remote, "err", err)
			return false
		}
		peer.Principal = x.up.peerID
		x.upPeer = peer
	}
	return true
}

func writePeer(self Peer, id string) []byte {
	body := encodePeer(self, id)
	var wrapped []byte
	wrapped = protowire.AppendTag(wrapped, 1, protowire.BytesType)
	wrapped = protowire.AppendString(wrapped, structType)
	wrapped = protowire.AppendTag(wrapped, 2, protowire.BytesType)
	wrapped = protowire.AppendBytes(wrapped, body)
	out := binary.BigEndian.AppendUint32(nil, exchangeMagic)
	out = binary.BigEndian.AppendUint32(out, uint32(len(wrapped)))
	return append(out, wrapped...)
}

// readPeer reads exactly one message, so that the next byte is the application's.
func readPeer(c net.Conn) (Peer, error) {
	if r := records(c); r != nil {
		r.deciphered = true
	}
	c.SetReadDeadline(time.Now().Add(exchangeTime))
	defer c.SetReadDeadline(time.Time{})
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return Peer{}, fmt.Errorf("read metadata: %w", err)
	}
	if magic := binary.BigEndian.Uint32(head[:]); magic != exchangeMagic {
		return Peer{}, fmt.Errorf("read metadata: it begins with %#x", magic)
	}
	size := binary.BigEndian.Uint32(head[4:])
	if size > exchangeMax {
		return Peer{}, fmt.Errorf("read metadata: %d bytes, at most %d are taken", size, exchangeMax)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, c, int64(size)); err != nil {
		return Peer{}, fmt.Errorf("read metadata: %w", err)
	}
	return decodeAny(body.Bytes())
}

func decodeAny(b []byte) (Peer, error) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Peer{}, fmt.Errorf("read metadata: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if field == 2 && kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return Peer{}, fmt.Errorf("read metadata: %w", protowire.ParseError(n))
			}
			return decodePeer(value)
		}
		n = protowire.ConsumeFieldValue(field, kind, b)
		if n < 0 {
			return Peer{}, fmt.Errorf("read metadata: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return Peer{}, nil
}
