package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// tokenFile is the file of a token, in the folder that was asked for.
const tokenFile = "token"

func newCATokenCommand(a *app) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "token POD [-d FOLDER]",
		Short: "Issue the token that a sidecar joins the mesh with",
		Long: `Issue the token that a sidecar joins the mesh with: by it, it gets the
certificates and the configuration of one workload, and of no other. That is a
workload with a sidecar of the mesh in force; where nothing runs the mesh, as
with "oarlock serve", a Deployment stands for its pods. --dir is the folder of
the state that serve was given.

A token is a secret, and valid for an hour. -d writes FOLDER/token, with mode
0600 and whole, so that a timer may do so again and again: a sidecar reads the
file each time it needs it. Without -d the token is printed, but on no terminal.
The control plane records that there is a token, and not what it is.`,
		Example: `  oarlock ca token web.shop --dir state -d web
  oarlock proxy --bootstrap web.json`,
		Args:              between(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runCAToken(a, cmd, args[0], to) },
		ValidArgsFunction: a.completeSidecars,
	}
	cmd.Flags().StringVarP(&to, "to", "d", "", "write `FOLDER`/token; the folder is made. - prints the token, on a terminal too")
	must(cmd.MarkFlagDirname("to"))
	return cmd
}

// tokenDocument is the answer of ca token. The token itself is either in it or in a file.
type tokenDocument struct {
	document
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	Identity  string    `json:"identity"`
	Expires   time.Time `json:"expires"`
	Token     string    `json:"token,omitempty"`
	File      string    `json:"file,omitempty"`
}

func runCAToken(a *app, cmd *cobra.Command, arg, to string) error {
	format, err := a.format("table", "json", "yaml")
	if err != nil {
		return err
	}
	if to == "" && a.screen {
		return usage(errors.New("run ca token: a token is a secret, and this is a terminal; -d FOLDER writes it to a file, -d - prints it all the same"),
			a.again("", "--to=."))
	}
	t, err := a.issueToken(cmd.Context(), arg)
	if err != nil {
		return err
	}
	doc := tokenDocument{document{APIVersion: apiVersion, Kind: "Token"}, t.Namespace, t.Pod, t.Identity, t.Expires, t.Token, ""}
	answer := t.Token
	if to != "" && to != "-" {
		doc.Token, doc.File = "", filepath.Join(to, tokenFile)
		if err := writePrivate(doc.File, t.Token); err != nil {
			return refused(err, "")
		}
		answer = clean(doc.File)
	}
	a.note("issued for %s.%s, %s, valid until %s", t.Pod, t.Namespace, t.Identity, instant(t.Expires))
	if format != "table" {
		return a.print(format, doc)
	}
	fmt.Fprintln(a.stdout, answer)
	return nil
}

// issueToken finds the workload that arg means, in what is in force, and asks for its token.
func (a *app) issueToken(ctx context.Context, arg string) (*api.Token, error) {
	m, err := a.attach(ctx, "ca token")
	if err != nil {
		return nil, noMesh("ca token", err)
	}
	defer m.close()
	l, err := a.inForce(ctx, m)
	if err != nil {
		return nil, err
	}
	c, err := a.client(l, arg)
	if err != nil {
		return nil, err
	}
	if c.Workload == nil {
		return nil, usage(fmt.Errorf("issue token for %s: callers outside the mesh have none", arg), "")
	}
	m.sign()
	t, err := m.plane.Token(ctx, api.TokenRequest{Namespace: c.Workload.Ref.Namespace, Pod: c.Workload.Ref.Name})
	no := (*api.RefusedError)(nil)
	switch {
	case err == nil:
		return t, nil
	case !errors.As(err, &no) || no.Status == http.StatusServiceUnavailable:
		return nil, m.unanswered(err)
	case m.served == "":
		return nil, refused(err, "oarlock ps")
	}
	return nil, refused(err, "")
}

// completeSidecars completes the name of a workload with a sidecar.
func (a *app) completeSidecars(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if a.flags.dir == "" {
		return a.completePods(cmd, args, prefix)
	}
	var out []string
	if m, err := a.attach(cmd.Context(), "completion"); err == nil && len(args) == 0 {
		defer m.close()
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		if l, err := a.inForce(ctx, m); err == nil {
			for _, w := range l.snap.Workloads {
				if name := l.clientName(resolve.Client{Workload: w}); w.Capture == mesh.CaptureSidecar && strings.HasPrefix(name, prefix) {
					out = append(out, name)
				}
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
