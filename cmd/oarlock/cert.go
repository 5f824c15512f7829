package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

func newCertCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "The certificates of the workloads of a running mesh",
		Args:  knownVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var to string
	export := &cobra.Command{
		Use:   "export POD [-d FOLDER]",
		Short: "Write a workload's key, chain and roots, for other tools",
		Long: `Write a workload's key, chain and roots as key.pem, cert-chain.pem and
root-cert.pem, for tools such as openssl and curl. The files have mode 0600: who
has the key can be the workload until its certificate ends. The sidecar records
each export.`,
		Example: `  oarlock cert export web-1.shop -d certs
  openssl s_client -connect 127.64.1.2:8080 -alpn istio -cert certs/cert-chain.pem -key certs/key.pem -CAfile certs/root-cert.pem`,
		Args:              between(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runCertExport(a, cmd, args[0], to) },
		ValidArgsFunction: a.completePods,
	}
	export.Flags().StringVarP(&to, "to", "d", ".", "the `FOLDER` to write to; it is made")
	must(export.MarkFlagDirname("to"))
	cmd.AddCommand(export, &cobra.Command{
		Use:               "show POD",
		Short:             "The certificate that a workload has now",
		Args:              between(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runCertShow(a, cmd, args[0]) },
		ValidArgsFunction: a.completePods,
	}, &cobra.Command{
		Use:   "list",
		Short: "The certificates of every workload, and when they end",
		Args:  atMost(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runCertList(a, cmd) },
	})
	return cmd
}

// exported is what a sidecar gives away.
type exported struct {
	ID       string    `json:"id"`
	Key      string    `json:"key.pem"`
	Chain    string    `json:"cert-chain.pem"`
	Roots    string    `json:"root-cert.pem"`
	NotAfter time.Time `json:"notAfter"`
}

func runCertExport(a *app, cmd *cobra.Command, pod, to string) error {
	format, err := a.format("table", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attachEngine(cmd.Context(), "cert export")
	if err != nil {
		return noMesh("cert export", err)
	}
	defer m.close()
	s, err := a.podSidecar(cmd.Context(), m, pod)
	if err != nil {
		return err
	}
	e, err := s.export(cmd.Context())
	if err != nil {
		return err
	}
	names, err := e.write(to)
	if err != nil {
		return refused(err, "")
	}
	a.note("exported %s, valid until %s", e.ID, instant(e.NotAfter))
	if format != "table" {
		return a.print(format, exportDocument{document{APIVersion: apiVersion, Kind: "CertificateExport"}, e.ID, e.NotAfter, names})
	}
	for _, name := range names {
		fmt.Fprintln(a.stdout, clean(name))
	}
	return nil
}

// export asks the sidecar for its key and certificates, which it records.
func (s *podAdmin) export(ctx context.Context) (*exported, error) {
	text, err := s.ask(ctx, "/cert_export", []byte{})
	if err != nil {
		return nil, err
	}
	var e exported
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, unreadable(fmt.Errorf("read certificate of %s: %w", podWord(s.pod), err), "")
	}
	return &e, nil
}

// write writes the files into a folder and names them.
func (e *exported) write(dir string) ([]string, error) {
	var names []string
	for _, f := range []struct{ name, content string }{{"key.pem", e.Key}, {"cert-chain.pem", e.Chain}, {"root-cert.pem", e.Roots}} {
		name := filepath.Join(dir, f.name)
		if err := writePrivate(name, f.content); err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// exportDocument is the answer of cert export.
type exportDocument struct {
	document
	ID       string    `json:"id"`
	NotAfter time.Time `json:"notAfter"`
	Files    []string  `json:"files"`
}

// writePrivate replaces a file by one that only this user may read, whole.
func writePrivate(name, content string) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write %s: %w", name, plainCause(err))
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+"-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, plainCause(err))
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, plainCause(err))
	}
	return nil
}

// certItem is the certificate of one workload.
type certItem struct {
	Pod       string    `json:"pod"`
	Namespace string    `json:"namespace"`
	ID        string    `json:"id,omitempty"`
	Serial    string    `json:"serial,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	RenewAt   time.Time `json:"renewAt,omitzero"`
	// Error says why there is none, or why it could not be renewed.
	Error string `json:"error,omitempty"`
}

// certList is the answer of cert list.
type certList struct {
	document
	Mesh  string     `json:"mesh"`
	Items []certItem `json:"items"`
}

// certLook bounds how long one sidecar may take to answer, so that a dead one does not hold up the list.
const certLook = 3 * time.Second

func runCertList(a *app, cmd *cobra.Command) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attachEngine(cmd.Context(), "cert list")
	if err != nil {
		return noMesh("cert list", err)
	}
	defer m.close()
	s, err := m.status(cmd.Context())
	if err != nil {
		return err
	}
	items := []certItem{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if ns := a.namespace(); !p.Sidecar || ns != "" && p.Namespace != ns {
			continue
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), certLook)
		items = append(items, m.certOf(ctx, p))
		cancel()
	}
	if format == "json" || format == "yaml" {
		return a.print(format, certList{document{APIVersion: apiVersion, Kind: "CertificateList", Dialect: s.Dialect, Snapshot: s.Snapshot}, s.Mesh, items})
	}
	header := []string{"NAMESPACE", "NAME", "IDENTITY", "NOT AFTER", "RENEWAL", "STATUS"}
	if format == "wide" {
		header = append(header, "SERIAL NUMBER", "NOT BEFORE")
	}
	tab := a.table(plainPadding, header...)
	if format != "wide" {
		narrowCerts(tab)
	}
	for _, c := range items {
		cells := []string{c.Namespace, c.Pod, orDash(c.ID), instant(c.NotAfter), instant(c.RenewAt), certState(&c)}
		if format == "wide" {
			cells = append(cells, orDash(c.Serial), instant(c.NotBefore))
		}
		tab.add(cells...)
	}
	return tab.write(a.stdout)
}

// narrowCerts says what a narrow terminal does without: the namespace is in the identity as well.
func narrowCerts(t *table) {
	t.optional, t.spare = []string{"NAMESPACE"}, []string{"RENEWAL"}
	t.cuts = []cut{{"IDENTITY", 24, keepEnd}, {"NAME", 24, keepBoth}, {"NAMESPACE", 10, keepBoth}, {"IDENTITY", 16, keepEnd}, {"NAME", 16, keepBoth}}
}

func certState(c *certItem) string {
	now := time.Now()
	switch {
	case c.Error != "":
		return c.Error
	case now.Before(c.NotBefore):
		return "not valid yet"
	case !now.Before(c.NotAfter):
		return "expired"
	}
	return "valid"
}

// certOf asks a sidecar for its certificate.
func (m *runningMesh) certOf(ctx context.Context, p *api.Pod) certItem {
	item := certItem{Pod: p.Name, Namespace: p.Namespace}
	s, err := m.sidecar(p)
	if err != nil {
		item.Error = err.Error()
		return item
	}
	text, err := s.ask(ctx, "/server_info", nil)
	if err != nil {
		item.Error = err.Error()
		return item
	}
	var answer struct {
		Identity *struct {
			ID        string    `json:"id"`
			NotBefore time.Time `json:"not_before"`
			NotAfter  time.Time `json:"not_after"`
			RenewAt   time.Time `json:"renew_at"`
			LastError string    `json:"last_error"`
		} `json:"identity"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Identity == nil {
		item.Error = "none yet"
		return item
	}
	id := answer.Identity
	item.ID, item.NotBefore, item.NotAfter, item.RenewAt, item.Error = id.ID, id.NotBefore, id.NotAfter, id.RenewAt, id.LastError
	if chain, err := s.chain(ctx); err == nil && len(chain) > 0 {
		item.Serial = chain[0].SerialNumber.Text(16)
	}
	return item
}

// chain gives the certificates of the workload, its own first, as its configuration shows them.
func (s *podAdmin) chain(ctx context.Context) ([]*x509.Certificate, error) {
	text, err := s.ask(ctx, "/config_dump", nil)
	if err != nil {
		return nil, err
	}
	d, err := parseDump(text)
	if err != nil {
		return nil, err
	}
	for _, one := range d.secrets() {
		if c := one.field("secret", "tlsCertificate"); c.there() {
			return inlineCertificates(c.field("certificateChain")), nil
		}
	}
	return nil, nil
}

func runCertShow(a *app, cmd *cobra.Command, pod string) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	m, err := a.attachEngine(cmd.Context(), "cert show")
	if err != nil {
		return noMesh("cert show", err)
	}
	defer m.close()
	s, err := a.podSidecar(cmd.Context(), m, pod)
	if err != nil {
		return err
	}
	item := m.certOf(cmd.Context(), s.pod)
	if item.ID == "" {
		return unreadable(fmt.Errorf("show certificate of %s: %s", podWord(s.pod), item.Error), "")
	}
	if format == "json" || format == "yaml" {
		return a.print(format, certDocument{document{APIVersion: apiVersion, Kind: "Certificate"}, item})
	}
	w := &statusWriter{explainer{width: a.textWidth()}}
	w.line("identity", item.ID)
	w.line("not before", instant(item.NotBefore))
	w.line("not after", instant(item.NotAfter))
	w.line("renewal", instant(item.RenewAt))
	w.line("status", certState(&item))
	if _, err := a.stdout.WriteString(w.b.String()); err != nil {
		return err
	}
	chain, err := s.chain(cmd.Context())
	if err != nil {
		return err
	}
	for _, c := range chain {
		fmt.Fprintf(a.stdout, "\nissuer %s, serial %s\n%s", orDash(c.Issuer.String()), c.SerialNumber.Text(16),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return nil
}

// certDocument is the answer of cert show.
type certDocument struct {
	document
	certItem
}
