package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/oarlock/oarlock/local"
	"github.com/spf13/cobra"
)

func newDownCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down [MESH] [--all]",
		Short: "Take a running mesh down, and leave nothing behind",
		Long: `Take a running mesh down: its workloads, sidecars, control plane and state. What
a mesh left behind that was killed is removed too. The manifests stay.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runDown(a, cmd, args, all) },
	}
	cmd.Flags().BoolVar(&all, "all", false, "every mesh of yours on this machine")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, _ := runningNames() // none is as good as an error here
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

func runDown(a *app, cmd *cobra.Command, args []string, all bool) error {
	if err := a.engineOnly("down"); err != nil {
		return err
	}
	names, err := a.downNames(args, all)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	for _, name := range names {
		done := a.progress("oarlock: taking mesh " + name + " down …")
		err := downOne(ctx, name)
		done()
		if err != nil {
			return err
		}
		a.note("mesh %s is down, and nothing is left of it", name)
	}
	return nil
}

func downOne(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	err := local.Stop(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return unreadable(err, "oarlock status")
	}
	if err != nil {
		return unreadable(err, "")
	}
	return nil
}

// downNames says which meshes are meant, those included that left only something behind.
func (a *app) downNames(args []string, all bool) ([]string, error) {
	meshes, err := local.Meshes()
	if err != nil {
		return nil, unreadable(err, "")
	}
	var names []string
	for _, m := range meshes {
		names = append(names, m.Name)
	}
	named := a.flags.mesh
	if len(args) == 1 {
		named = args[0]
	}
	switch {
	case all && named != "":
		return nil, usage(fmt.Errorf("run down: give %s or --all, not both", named), "")
	case all:
		if len(names) == 0 {
			a.note("oarlock: no mesh runs on this machine")
		}
		return names, nil
	case named != "":
		for _, name := range names {
			if name == named {
				return []string{named}, nil
			}
		}
		return nil, unreadable(fmt.Errorf("take down mesh %q: no such mesh runs on this machine", named), a.againNear(named, names))
	case len(names) == 0:
		return nil, unreadable(errors.New("take down mesh: no mesh runs on this machine"), "")
	case len(names) == 1:
		return names, nil
	}
	return nil, usage(fmt.Errorf("choose mesh: there are %s; name one, or give --all", strings.Join(names, ", ")), a.again("", names[0]))
}
