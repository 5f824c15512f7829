// Command oarlock-proxy is the sidecar alone, for images and virtual machines: `oarlock proxy` without the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/oarlock/oarlock/sidecar"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// The exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage // the command line or the bootstrap file makes no sense
)

const synopsis = `usage: oarlock-proxy --bootstrap FILE

Runs the sidecar of one workload until SIGTERM or SIGINT, then finishes what is
under way. FILE says who the sidecar is and where its identity and configuration
come from: docs/sidecar.md has its form.

  --bootstrap FILE   what to start from
  --version          print the version and exit

The exit status is 0 after an orderly stop, 2 if the command line or FILE makes no
sense, and 1 otherwise.
`

// run is the command with its process taken out: it gives the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("oarlock-proxy", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("bootstrap", "", "")
	version := flags.Bool("version", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, synopsis)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "oarlock-proxy: parse flags: %v\ntry: oarlock-proxy --help\n", err)
		return exitUsage
	case *version:
		fmt.Fprintf(stdout, "oarlock-proxy %s\n", moduleVersion())
		return exitOK
	case *file == "" || flags.NArg() > 0:
		fmt.Fprint(stderr, "oarlock-proxy: parse flags: want --bootstrap FILE and nothing else\ntry: oarlock-proxy --help\n")
		return exitUsage
	}
	err := sidecar.RunFile(ctx, *file, sidecar.Options{Version: moduleVersion(), Stdout: stdout, Procs: sidecar.Tune()})
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "oarlock-proxy: %v\n", err)
	if wrong := (*sidecar.ConfigError)(nil); errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// moduleVersion is what the go command stamped into the binary: a tag, or the commit; "devel" where neither is known.
func moduleVersion() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" || b.Main.Version == "(devel)" {
		return "devel"
	}
	return b.Main.Version
}
