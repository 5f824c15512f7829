package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/probe"
	"github.com/spf13/cobra"
)

// probeFlags are the flags of probe, as given.
type probeFlags struct {
	as               string
	cert, key, roots string
	serverName, host string
	alpn             []string
	expect           string
	noRequest        bool
	wait             time.Duration
}

// noALPN is how --alpn names an attempt without one.
const noALPN = "none"

func newProbeCommand(a *app) *cobra.Command {
	f := &probeFlags{}
	cmd := &cobra.Command{
		Use:   "probe TARGET",
		Short: "What a server accepts, proven by trying: plaintext, TLS, mTLS",
		Long: `What a server accepts, proven by trying from this machine, past every sidecar of a
client: plaintext, TLS without a client certificate, TLS with one (--cert and
--key), each ALPN, each version of TLS. Each attempt has a connection of its own.

TARGET is HOST:PORT or, where a mesh runs, SERVICE:PORT of that: the first ready
pod behind it is asked. --as CLIENT asks from within the sidecar of a client, with
the client's certificate, and the key does not leave it.

A server that says nothing by itself is sent a request, GET /, so that its answer
tells who it is; --no-request sends none. No key leaves this process.`,
		Example: `  oarlock probe 10.0.0.7:8000
  oarlock probe 10.0.0.7:8000 --cert cert-chain.pem --key key.pem --cacert root-cert.pem
  oarlock probe 10.0.0.7:8000 --expect STRICT         exit status 1 if it is not
  oarlock probe api.shop:8080 --as deploy/web.shop    in a running mesh`,
		Args:              between(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runProbe(a, cmd, f, args[0]) },
	}
	p := cmd.Flags()
	p.StringVar(&f.as, "as", "", "probe from within the sidecar of `CLIENT`, a pod of a running mesh")
	p.StringVar(&f.cert, "cert", "", "present the certificate, with its chain, in the PEM `FILE`")
	p.StringVar(&f.key, "key", "", "its private key, in the PEM `FILE`")
	p.StringVar(&f.roots, "cacert", "", "judge certificates by the roots in the PEM `FILE`")
	p.StringVar(&f.serverName, "server-name", "", "send `NAME` as SNI, in place of HOST")
	p.StringVar(&f.host, "host", "", "send `HOST` as the Host header, in place of HOST:PORT")
	p.StringSliceVar(&f.alpn, "alpn", nil, "offer these `NAMES` of ALPN, one an attempt; none is without (default: those of Istio, h2, http/1.1, none)")
	p.StringVar(&f.expect, "expect", "", "the exit status is 1 unless the `MODE` is proven: STRICT, PERMISSIVE, DISABLE, \"other TLS\"")
	p.BoolVar(&f.noRequest, "no-request", false, "send nothing to the application")
	p.DurationVar(&f.wait, "wait", probe.DefaultTimeout, "give up one attempt after this `DURATION`")
	must(cmd.RegisterFlagCompletionFunc("expect", cobra.FixedCompletions(
		[]string{string(probe.Strict), string(probe.Permissive), string(probe.Disable)}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func runProbe(a *app, cmd *cobra.Command, f *probeFlags, target string) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	p, expect, err := a.prober(f, target)
	if err != nil {
		return err
	}
	run, err := a.probeRun(cmd.Context(), f, p)
	if err != nil {
		return err
	}
	done := a.progress("oarlock: probing " + target + " …")
	r, err := run(cmd.Context())
	done()
	if err != nil {
		if f := (*failure)(nil); errors.As(err, &f) {
			return err
		}
		if cmd.Context().Err() == nil {
			return usage(err, "")
		}
		return unreadable(err, "")
	}
	if format == "json" || format == "yaml" {
		err = a.print(format, probeDocument{document{APIVersion: apiVersion, Kind: "Probe"}, r})
	} else {
		err = a.printProbe(r, format == "wide")
	}
	switch {
	case err != nil:
		return err
	case !r.Reached():
		return unreadable(fmt.Errorf("probe %s: %s", target, unreached(r)), "")
	case expect != "" && r.Mode != expect:
		a.note("oarlock: probe %s: expected %s, proven is %s", target, expect, r.Mode)
		return findings()
	case a.probeFails(r):
		return findings()
	}
	return nil
}

// probeDocument is the answer of probe.
type probeDocument struct {
	document
	*probe.Result
}

// prober turns the command line into what to try.
func (a *app) prober(f *probeFlags, target string) (*probe.Prober, probe.Mode, error) {
	if err := a.probeAlone(f, target); err != nil {
		return nil, "", err
	}
	p := &probe.Prober{
		Address: target, ServerName: f.serverName, Host: f.host, Timeout: f.wait, NoRequest: f.noRequest, ALPN: slices.Clone(f.alpn),
	}
	for i, name := range p.ALPN {
		switch {
		case name == noALPN:
			p.ALPN[i] = probe.NoALPN
		case name == "" || len(name) > 255:
			return nil, "", usage(fmt.Errorf("parse flag --alpn %q: a name has 1 to 255 bytes", name), "")
		}
	}
	if f.wait <= 0 {
		return nil, "", usage(fmt.Errorf("parse flag --wait %s: want a duration over zero", f.wait), "")
	}
	var expect probe.Mode
	if f.expect != "" {
		m, err := probe.ParseMode(f.expect)
		if err != nil {
			return nil, "", usage(fmt.Errorf("parse flag --expect: %w", err), "")
		}
		expect = m
	}
	return p, expect, f.readFiles(p)
}

// probeAlone refuses flags that name another kind of mesh than one that runs, and files that would not be used.
func (a *app) probeAlone(f *probeFlags, target string) error {
	g := &a.flags
	switch {
	case len(g.files) > 0 || g.kubeconfig != "" || g.context != "":
		return usage(fmt.Errorf("probe %s: it asks a server, by its address or in a mesh that runs; leave out -f, --kubeconfig and --context", target),
			"oarlock probe "+quoteWord(target))
	case (f.cert == "") != (f.key == ""):
		return usage(errors.New("probe: --cert and --key go together"), "")
	case f.as != "" && f.as != outsideWord && (f.cert != "" || f.roots != ""):
		return usage(fmt.Errorf("probe %s as %q: its sidecar has a certificate; leave out --cert, --key and --cacert", target, f.as), "")
	}
	return nil
}

// readFiles reads the certificate, its key and the roots.
func (f *probeFlags) readFiles(p *probe.Prober) error {
	if f.cert != "" {
		c, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return unreadable(fmt.Errorf("read certificate %s with key %s: %w", f.cert, f.key, plainCause(err)), "")
		}
		p.Certificate = &c
	}
	if f.roots == "" {
		return nil
	}
	pem, err := os.ReadFile(f.roots)
	if err != nil {
		return unreadable(fmt.Errorf("read roots %s: %w", f.roots, plainCause(err)), "")
	}
	p.Roots = x509.NewCertPool()
	if !p.Roots.AppendCertsFromPEM(pem) {
		return unreadable(fmt.Errorf("read roots %s: no certificate in PEM there", f.roots), "")
	}
	return nil
}

// plainCause takes the operation and the path, which the message has, off the error of a file.
func plainCause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// unreached says why no attempt came to a connection.
func unreached(r *probe.Result) string {
	a := r.Attempts[0]
	switch {
	case strings.HasSuffix(a.Detail, "no such host"):
		return strings.TrimPrefix(a.Detail, "dial tcp: ") + "; names of services are those of a mesh that runs"
	case a.Detail != "":
		return strings.TrimPrefix(a.Detail, "dial tcp: ")
	case a.Outcome == probe.Timeout:
		return "no connection in time"
	}
	return "connection refused"
}

// probeFails says whether what was found in certificates reaches --fail-on. A conflict is never found here.
func (a *app) probeFails(r *probe.Result) bool {
	return slices.ContainsFunc(r.Findings, func(f probe.Finding) bool {
		switch a.flags.failOn.value {
		case "error":
			return f.Severity == probe.Error
		case "warning":
			return true
		}
		return false
	})
}

// printProbe prints what is proven and why, who it is, and the table of attempts.
func (a *app) printProbe(r *probe.Result, wide bool) error {
	if !r.Reached() {
		return nil // the error says all there is
	}
	e := &explainer{width: textWidth}
	last := len(r.Proof) - 1
	e.wrap("", fmt.Sprintf("%s: %s", r.Address, r.Mode))
	e.wrap("  ", r.Proof[last])
	for _, line := range r.Proof[:last] {
		e.wrap("  ", line)
	}
	for i := range r.Peers {
		e.peer(&r.Peers[i])
	}
	e.b.WriteByte('\n')
	for _, f := range r.Findings {
		e.wrap("", f.String())
	}
	if len(r.Findings) > 0 {
		e.b.WriteByte('\n')
	}
	if _, err := a.stdout.WriteString(e.b.String()); err != nil {
		return err
	}
	return a.probeTable(r, wide).write(a.stdout)
}

// peer writes who showed a certificate.
func (e *explainer) peer(p *probe.Peer) {
	e.wrap("  ", "server: "+p.Name())
	e.wrap("    ", fmt.Sprintf("%s, issued by %s, valid until %s", p.Key, orDash(p.Issuer), p.NotAfter.UTC().Format(time.RFC3339)))
}

func (a *app) probeTable(r *probe.Result, wide bool) *table {
	header := []string{"ATTEMPT", "ALPN", "CERTIFICATE", "OUTCOME"}
	if wide {
		header = append(header, "HANDSHAKE", "ASKED", "SERVER", "TIME", "DETAIL")
	}
	tab := a.table(plainPadding, header...)
	for i := range r.Attempts {
		tab.add(probeCells(&r.Attempts[i], wide)...)
	}
	return tab
}

// probeCells gives one attempt.
func probeCells(t *probe.Attempt, wide bool) []string {
	attempt, alpn, certificate := string(t.Kind), "-", "-"
	if t.Version != "" {
		attempt = t.Version
	}
	if t.Kind == probe.TLS {
		alpn, certificate = orDash(t.ALPN), "no"
		if t.Certificate {
			certificate = "yes"
		}
	}
	outcome := *t
	if wide || t.Detail != "HTTP/2" {
		outcome.Detail = "" // it has a column, and may be long
	}
	cells := []string{attempt, alpn, certificate, outcome.String()}
	if !wide {
		return cells
	}
	handshake, asked, server := "-", "-", "-"
	if h := t.TLS; h != nil {
		handshake, asked, server = strings.TrimSuffix(h.Version+" "+h.Cipher+" "+h.ALPN, " "), "no", orDash(h.PeerID)
		if h.Asked {
			asked = "yes"
		}
	}
	return append(cells, handshake, asked, server, fmt.Sprintf("%d ms", t.Milliseconds), orDash(t.Detail))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
