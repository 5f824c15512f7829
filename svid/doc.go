// Package svid keeps one workload's key and X.509-SVID fresh, and builds TLS configurations that use them.
//
//	client := &svid.Client{Address: "127.0.0.1:15012", ServerName: "istiod.istio-system.svc", TokenFile: token, RootsFile: roots}
//	source, err := svid.Open(ctx, client.Obtain, svid.Options{Log: log}) // waits for the first SVID
//	defer source.Close()
//
//	server := source.ServerConfig(spiffeid.MatchMemberOf(td))
//	client := source.ClientConfig(spiffeid.MatchID(web))
//
// An SVID comes from a function: [Client.Obtain] makes a key in this process and asks the CSR service of Istio, ours or
// istiod's, for a certificate; [Files.Obtain] reads three files that somebody else renews. The [Source] calls it when half
// of the SVID's life is left, more or less, so that a fleet does not ask at once; after a failure again and again, with
// growing pauses, and with short ones and louder once a fifth is left. The SVID that it has stays in use until there is
// another. Each is an immutable [State] behind an atomic pointer; handshakes take no lock.
//
// A peer is checked in VerifyConnection, which crypto/tls calls on resumed connections too: its certificate must be an
// X.509-SVID that verifies against the trust bundle now, and its SPIFFE ID must match. What fails is a [PeerError] with a
// cause to count. Session tickets are bound to the trust bundle: after it changes the next handshake is a full one,
// instead of one that fails.
//
// What the package leaves to others: which peers to accept, ALPN and versions (set them on the configuration), and
// carrying bytes.
package svid
