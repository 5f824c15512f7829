// Package sniff tells what a connection speaks by a look at its first bytes, which stay there to be read.
//
//	c := sniff.NewConn(accepted)
//	r, err := c.Sniff(sniff.Limits{FirstByte: 100 * time.Millisecond})
//	switch r.Protocol {
//	case sniff.TLS:         // r.Hello has server name, ALPN and versions
//	case sniff.HTTP1, sniff.HTTP2:
//	case sniff.ServerFirst: // the client waits for the server to speak
//	}
//	// Whoever reads c next sees the connection from its first byte.
//
// crypto/tls parses a ClientHello, through a connection that hands it our bytes and throws its answer away. What it does
// not take is no TLS: such a connection is Other, and the result says why. At most MaxPeek bytes are held, a whole TLS
// record; a connection that says nothing holds 256 of them, and the rest comes from a pool for as long as it is needed.
//
// The package names what it sees and decides nothing. It does not know which port it is, whether TLS is wanted there, or
// what to do with a protocol that it cannot name.
package sniff
