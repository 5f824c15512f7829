package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"
)

func newDashboardCommand(a *app) *cobra.Command {
	var only bool
	cmd := &cobra.Command{
		Use:   "dashboard [MESH] [--print]",
		Short: "Open the dashboard of a running mesh",
		Long: `Open the dashboard of a running mesh in the browser of this desktop. Without a
desktop, and with --print, the link is printed: whoever has it may see and change
the mesh, so it is for nobody else.`,
		Example: `  oarlock dashboard
  oarlock dashboard --print`,
		Args:              atMost(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runDashboard(a, cmd, args, only) },
		ValidArgsFunction: completeMeshes,
	}
	cmd.Flags().BoolVar(&only, "print", false, "print the link and open nothing")
	return cmd
}

// completeMeshes completes the name of a mesh that runs.
func completeMeshes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names, err := runningNames()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func runDashboard(a *app, cmd *cobra.Command, args []string, only bool) error {
	if len(args) == 1 {
		a.flags.mesh = args[0]
	}
	m, err := a.attach(cmd.Context(), "dashboard")
	if err != nil {
		return noMesh("dashboard", err)
	}
	defer m.close()
	return a.showBoard(cmd.Context(), m, only)
}

// showBoard opens the dashboard of a mesh, or prints its link.
func (a *app) showBoard(ctx context.Context, m *runningMesh, only bool) error {
	b, err := readBoard(m.controlState())
	if err != nil {
		return unreadable(fmt.Errorf("find dashboard of mesh %s: %w", m.name, err), "")
	}
	if b.Token == "" {
		return unreadable(fmt.Errorf("find dashboard of mesh %s: it has none%s", m.name, m.logWord()), m.ask("status"))
	}
	opener := desktopOpener()
	if only || opener == "" {
		_, err := fmt.Fprintln(a.stdout, b.link())
		return err
	}
	if err := openLink(ctx, opener, b.link()); err != nil {
		a.note("oarlock: open dashboard: %v; this is its link", err)
		_, err := fmt.Fprintln(a.stdout, b.link())
		return err
	}
	a.note("opened the dashboard of mesh %s, %s", m.name, b.URL)
	return nil
}

// desktopOpener is the program that opens a link on this desktop, "" where there is no desktop or no such program.
func desktopOpener() string {
	name := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		name = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return ""
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// openPatience is how long an opener may take to fail; some stay for as long as the browser does.
const openPatience = 3 * time.Second

// openLink runs the opener. One that still runs after a while has done its work, and is left to go on.
func openLink(ctx context.Context, opener, link string) error {
	cmd := exec.Command(opener, link) // not of ctx: the browser is to outlive the command
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return fmt.Errorf("%s ended with status %d", opener, exit.ExitCode())
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(openPatience):
		return nil
	}
}
