package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	sidecars "github.com/oarlock/oarlock/sidecar" // the command has a type of the package's name
	"github.com/spf13/cobra"
)

func newProxyCommand(*app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "proxy --bootstrap FILE",
		Short: "Run one sidecar, also without a control plane",
		Long: `Run the sidecar of one workload until SIGTERM or SIGINT, then finish what is under
way. FILE says who the sidecar is and where its identity and configuration come
from; with staticResources in it no control plane is needed. docs/sidecar.md has its
form and an example. A mesh runs this by itself, beside every workload.

The exit status is 0 after an orderly stop, 2 if FILE makes no sense.`,
		Example: "  oarlock proxy --bootstrap client.json",
		Args:    atMost(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runProxy(cmd, file) },
	}
	cmd.Flags().StringVar(&file, "bootstrap", "", "what to start from, in `FILE`")
	must(cmd.MarkFlagFilename("bootstrap", "json"))
	return cmd
}

func runProxy(cmd *cobra.Command, file string) error {
	if file == "" {
		return usage(errors.New("run proxy: --bootstrap FILE is missing"), "oarlock proxy --help")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	defer stop()
	err := sidecars.RunFile(ctx, file, sidecars.Options{Version: moduleVersion(), Procs: sidecars.Tune()})
	if wrong := (*sidecars.ConfigError)(nil); errors.As(err, &wrong) {
		return usage(err, "")
	}
	return err
}
