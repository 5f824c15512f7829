package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/examples"
	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
)

func newDemoCommand(a *app) *cobra.Command {
	f := &upFlags{}
	var noOpen bool
	cmd := &cobra.Command{
		Use:   "demo [EXAMPLE]",
		Short: "Run an example mesh in the foreground; Ctrl-C removes everything",
		Long: `Run an example mesh in the foreground, with traffic between its services, and
show its verdicts and three things to try. On a desktop its dashboard opens in the
browser. Ctrl-C removes everything; so does the end of this process in whatever way.

EXAMPLE is bookinfo (the default), backyards, challenges or foo-bar, or one of
them with -current at its end, for the policies of today's Istio.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDemo(cmd, &upRun{app: a, flags: f, noOpen: noOpen}, args)
		},
		ValidArgsFunction: cobra.FixedCompletions(examples.Names(), cobra.ShellCompDirectiveNoFileComp),
	}
	cmd.Flags().StringVar(&f.name, "name", "", "call the mesh `NAME`")
	cmd.Flags().BoolVar(&noOpen, "no-open", false, "open no browser")
	f.addTo(cmd)
	return cmd
}

// demoFolder is where the manifests of a demo are, in the mesh's folder: they go with it.
const demoFolder = "manifests"

func runDemo(cmd *cobra.Command, u *upRun, args []string) error {
	a, f := u.app, u.flags
	example := "bookinfo"
	if len(args) == 1 {
		example = args[0]
	}
	if names := examples.Names(); !slices.Contains(names, example) {
		return usage(fmt.Errorf("run demo %q: there is no such example; there are %s", example, strings.Join(names, ", ")), a.againNear(example, names))
	}
	if len(a.flags.files) > 0 {
		return usage(fmt.Errorf("run demo: it brings its own manifests; leave out -f"), "oarlock up -f "+quoteWord(a.flags.files[0]))
	}
	if err := a.upAlone(f); err != nil {
		return err
	}
	u.name, u.demo = f.name, example
	if u.name == "" {
		u.name = mesh.HumanName([]byte("demo " + example))
	}
	paths, err := local.PathsOf(u.name)
	if err != nil {
		return usage(err, "")
	}
	dir := filepath.Join(paths.State, demoFolder)
	u.places = []string{dir}
	running, err := runningNames()
	if err != nil {
		return unreadable(err, "")
	}
	if !slices.Contains(running, u.name) {
		if err := unpack(example, dir); err != nil {
			return unreadable(err, "")
		}
	}
	return u.run(cmd.Context())
}

// unpack writes the manifests anew: what a demo that was killed left is gone.
func unpack(example, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("unpack example %s: %w", example, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("unpack example %s: %w", example, err)
	}
	return examples.Unpack(example, dir)
}
