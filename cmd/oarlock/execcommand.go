package main

import (
	"context"
	"fmt"
	"os"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
)

func newExecCommand(a *app) *cobra.Command {
	var container string
	cmd := &cobra.Command{
		Use:   "exec POD [-c CONTAINER] -- COMMAND [ARG...]",
		Short: "Run a command in a pod of a running mesh",
		Long: `Run a command where a container of the pod runs: with its environment, and with
its sidecar between it and the rest of the mesh. With -c istio-proxy it goes past
capture, as the sidecar's own traffic does, and the command runs in a folder with
the workload's key.pem, cert-chain.pem and root-cert.pem, which $OARLOCK_CERTS
names too and which is removed afterwards; the sidecar records it as an export.
Where capture is transparent it knows no names and no service's address from
there: give it a pod's, which "oarlock ps" shows.
The exit status is the command's.`,
		Example: `  oarlock exec web-1.shop -- curl -s http://api:8080/
  oarlock exec deploy/web.shop -c istio-proxy -- openssl s_client -connect 10.244.0.2:8080 -cert cert-chain.pem -key key.pem`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			switch {
			case len(args) == 0 || dash == 0:
				return usage(fmt.Errorf("run exec: name a pod"), "oarlock ps")
			case dash < 0 && len(args) > 1:
				return usage(fmt.Errorf("run exec: the command stands after --"), "oarlock exec "+quoteWord(args[0])+" -- "+quoteWords(args[1:]))
			case dash > 1:
				return usage(fmt.Errorf("run exec: %q stands between the pod and --", args[1]), "")
			case len(args) < 2:
				return usage(fmt.Errorf("run exec: no command is given"), "oarlock exec "+quoteWord(args[0])+" -- env")
			}
			return runExec(a, cmd, args[0], mesh.Exec{Container: container, Command: args[1:]})
		},
		ValidArgsFunction: a.completePods,
	}
	cmd.Flags().StringVarP(&container, "container", "c", "", "the `CONTAINER`; istio-proxy is the sidecar's (default the first)")
	return cmd
}

func runExec(a *app, cmd *cobra.Command, pod string, e mesh.Exec) error {
	m, _, p, err := a.attachPod(cmd.Context(), "exec", pod)
	if err != nil {
		return err
	}
	defer m.close()
	if e.Container == mesh.SidecarContainer && !p.Sidecar {
		return usage(fmt.Errorf("run exec in %s: the pod has no sidecar", podWord(p)), "")
	}
	if e.Container == mesh.SidecarContainer {
		dir, err := m.certificateFiles(cmd.Context(), p)
		if dir != "" {
			defer os.RemoveAll(dir)
		}
		if err != nil { // what is wrong with the certificate may be what the command is to find out
			a.note("oarlock: no certificate files for %s: %v", podWord(p), err)
		}
		e.Certificates = dir
	}
	e.Stdin, e.Stdout, e.Stderr = fileOf(a.stdin), os.Stdout, os.Stderr
	code, err := m.engine.Exec(cmd.Context(), podRef(p), e)
	switch {
	case err != nil:
		return unreadable(err, "")
	case code != 0:
		return &failure{code: exit(code)}
	}
	return nil
}

// certificateFiles puts the certificate of a pod's workload into a new folder, which nobody else may read. The caller
// removes it, also after an error; "" is none.
func (m *runningMesh) certificateFiles(ctx context.Context, p *api.Pod) (string, error) {
	s, err := m.sidecar(p)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, certLook)
	defer cancel()
	e, err := s.export(ctx)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "oarlock-certs-") // of mode 0700
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	_, err = e.write(dir)
	return dir, err
}

// fileOf gives the file behind a stream, nil where there is none.
func fileOf(stream any) *os.File {
	f, _ := stream.(*os.File)
	return f
}
