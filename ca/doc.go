// Package ca is the certificate authority of one trust domain: it issues X.509-SVIDs to workloads, over Istio's own CSR
// service, and replaces its root without dropping a connection.
//
//	authority, err := ca.Open(ca.Options{TrustDomain: "cluster.local", Dir: stateDir, Log: log})
//	go authority.Run(ctx) // takes the steps of a rotation when they are due
//
//	tokens, err := ca.OpenTokens(stateDir)
//	token, expires, err := tokens.Issue(ca.Identity{Namespace: "default", ServiceAccount: "web", Workload: "web-1"})
//
//	service := ca.NewService(authority, tokens, ca.ServiceOptions{Log: log})
//	config, err := authority.ServerTLS(ca.Identity{Namespace: "istio-system", ServiceAccount: "istiod"}, "127.0.0.1")
//	err = service.Server(config).Serve(listener)
//
// A workload makes its key itself and sends a CSR with a bearer token. Who it is says the token alone, through an
// [Authenticator]: [Tokens] for workloads of this machine; a cluster's TokenReview can be another. Of the CSR only the
// public key is used, once its signature proves that the sender holds the private one. The SVID has one name, the URI
// spiffe://TD/ns/NS/sa/SA, is good for both ends of a connection, and is delivered with the trust bundle.
//
// The root is made here, or plugged in as files with Istio's names. A rotation has three steps, each of which waits until
// it cannot hurt: [Authority.Prepare] adds a root to the bundle, [Authority.Activate] issues with it, [Authority.Retire]
// forgets the one before. [Authority.Rotate] asks for all three.
//
// State is one file of mode 0600, replaced whole. It has the keys in it: who can read it can be anybody in the mesh. There
// is no revocation: SVIDs are short-lived, and a stolen authority is ended by Activate and Retire with force.
//
// What the package leaves to others: the workload's side (package svid), telling sidecars of a new bundle before they
// renew (Bundle gives a channel for that), and delivering tokens to workloads.
package ca
