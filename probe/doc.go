// Package probe finds out what a server accepts by trying: plaintext, TLS without a client certificate, TLS with one, with
// each ALPN, each on a connection of its own.
//
//	p := &probe.Prober{Address: "10.0.0.7:8000", Certificate: &svid, Roots: roots}
//	r, err := p.Run(ctx)
//	fmt.Println(r.Mode, r.Proof) // STRICT [plaintext is refused: closed ...]
//
// A Result has every attempt, the mode that they prove together, whose certificates the server showed, and all that is wrong
// with them. What the attempts do not prove stays Unknown; mode.go has the rules.
//
// The server is never trusted: its certificate is looked at and judged, and the handshake goes on whatever it is. Nothing
// secret is sent: a client certificate takes part in handshakes, its key signs here. Where a server answers nothing by
// itself, it gets a request (GET / of HTTP/1.1, or the preface of HTTP/2), so that its answer tells who it is;
// Prober.NoRequest leaves that out.
//
// The package knows no mesh. It does not know what should be at the address, nor who could be asked about it.
package probe
