package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is one run of the command: its streams and what the global flags say.
type app struct {
	stdin  io.Reader
	stdout *bufio.Writer
	stderr io.Writer
	args   []string // as given, for hints
	flags  flags

	screen  bool // stdout is a terminal
	width   int  // of the terminal on stdout in columns; 0 where stdout is no terminal, or one that does not say
	colour  bool // whether stdout may carry colours
	lenient bool // take in what the API server would refuse, as old ones took it
	partial bool // some documents could not be read: the answer is about the rest

	cancel context.CancelFunc // of --timeout
}

// flags are the global flags, as given.
type flags struct {
	files         []string
	mesh          string
	dir           string // of the state of a control plane that serves alone
	kubeconfig    string
	context       string
	namespace     string
	allNamespaces bool
	output        string
	dialect       choice
	color         choice
	failOn        choice
	verbose       bool
	timeout       time.Duration
}

// choice is a flag that takes one word of a list.
type choice struct {
	value string
	words []string
	name  string // that stands for the value in help
}

// Set takes one of the words.
func (c *choice) Set(s string) error {
	for _, w := range c.words {
		if s == w {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("want one of %s", c.list())
}

// String gives the word.
func (c *choice) String() string { return c.value }

// Type gives what stands for the value in help.
func (c *choice) Type() string { return c.name }

// list gives the words for a message.
func (c *choice) list() string { return strings.Join(c.words, ", ") }

// run is the whole command with its process taken out: it gives the exit status. Scripts run it in the test binary.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: bufio.NewWriterSize(stdout, 64<<10), stderr: stderr, args: args, cancel: func() {}}
	defer func() { a.cancel() }()
	if f := terminalOf(stdout); f != nil {
		a.screen = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			a.width = w
		}
	}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.stdout)
	root.SetErr(stderr)
	ran := false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		ran = true
		a.colour = a.mayColour()
		return a.limitTime(cmd)
	}
	err := root.ExecuteContext(ctx)
	// Whatever cobra says before a verb runs is about the command line.
	other := exitUnreadable
	if !ran {
		other = exitUsage
	}
	return int(a.end(err, other))
}

// limitTime puts --timeout on the context that the verb sees.
func (a *app) limitTime(cmd *cobra.Command) error {
	switch {
	case a.flags.timeout < 0:
		return usage(fmt.Errorf("parse flag --timeout %s: want a duration that is not negative", a.flags.timeout), "")
	case a.flags.timeout > 0:
		ctx, cancel := context.WithTimeout(cmd.Context(), a.flags.timeout)
		a.cancel = cancel
		cmd.SetContext(ctx)
	}
	return nil
}

// end flushes the answer, reports the error and chooses the exit status.
func (a *app) end(err error, other exit) exit {
	if ferr := a.stdout.Flush(); ferr != nil && !errors.Is(ferr, syscall.EPIPE) {
		// A reader that has seen enough (`| head -1`) is no error.
		if errors.Is(err, ferr) {
			err = nil // the verb has met it already
		}
		if pe := (*os.PathError)(nil); errors.As(ferr, &pe) {
			ferr = pe.Err
		}
		err = errors.Join(err, fmt.Errorf("write standard output: %w", ferr))
	}
	code := exitOK
	if err != nil {
		f := asFailure(err, other)
		a.report(f)
		code = f.code
	}
	if a.partial && code <= exitFindings && a.flags.failOn.value != "never" {
		return exitUnreadable
	}
	return code
}

// report prints an error and its hint.
func (a *app) report(f *failure) {
	if f.err == nil {
		return
	}
	for line := range strings.SplitSeq(f.err.Error(), "\n") {
		fmt.Fprintf(a.stderr, "oarlock: %s\n", clean(line))
	}
	if f.try != "" {
		fmt.Fprintf(a.stderr, "try: %s\n", clean(f.try))
	}
}

// note prints a line about the answer on standard error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "%s\n", clean(fmt.Sprintf(format, args...)))
}

// mayColour obeys --color, and with auto the terminal, NO_COLOR and a dumb TERM.
func (a *app) mayColour() bool {
	switch a.flags.color.value {
	case "always":
		return true
	case "never":
		return false
	}
	return a.width > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "oarlock",
		Short: "Show, explain and change mutual TLS between the services of a mesh",
		Long: `Oarlock answers what TLS a connection of a service mesh gets, and why.

It reads Kubernetes and Istio manifests, both generations of policy: MeshPolicy
and Policy (Istio 1.1 to 1.4), and PeerAuthentication. It also runs them, as a
whole mesh on this machine, and answers for what runs.`,
		Example: `  oarlock demo                                 a mesh to look at
  oarlock -f DIR tls-check                     every client, every service
  oarlock -f DIR tls-check web.shop api:8080   one client, one port
  oarlock -f DIR explain web.shop api:8080     the whole chain of reasons`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("parse flags: %w", err), cmd.CommandPath()+" --help")
	})
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages ", fmt.Sprintf("Flags.FlagUsagesWrapped %d ", a.textWidth())))
	a.addFlags(root)
	root.AddCommand(a.verbs()...)
	for _, cmd := range append(root.Commands(), root) {
		cmd.SuggestionsMinimumDistance = 2
	}
	root.InitDefaultCompletionCmd(a.args...)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args, cmd.RunE = knownVerb, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// verbs lists every verb, one file each.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{
		newTLSCheckCommand(a),
		newAuthnCommand(a),
		newExplainCommand(a),
		newMTLSCommand(a),
		newEdgesCommand(a),
		newGraphCommand(a),
		newTapCommand(a),
		newDashboardCommand(a),
		newPlanCommand(a),
		newProbeCommand(a),
		newDemoCommand(a),
		newUpCommand(a),
		newDownCommand(a),
		newStatusCommand(a),
		newPsCommand(a),
		newExecCommand(a),
		newLogsCommand(a),
		newProxyConfigCommand(a),
		newProxyStatusCommand(a),
		newCertCommand(a),
		newCACommand(a),
		newServeCommand(a),
		newEngineCommand(a),
		newProxyCommand(a),
		newTestCommand(a),
		newDemoAppCommand(a),
		newVersionCommand(a),
	}
}

func (a *app) addFlags(root *cobra.Command) {
	f := &a.flags
	f.dialect = choice{"auto", mesh.Dialects(), "ISTIO"}
	f.color = choice{"auto", []string{"auto", "always", "never"}, "WHEN"}
	f.failOn = choice{"error", []string{"conflict", "error", "warning", "never"}, "WHAT"}
	p := root.PersistentFlags()
	p.StringArrayVarP(&f.files, "filename", "f", nil, "manifests: `PATH` of a file or directory, or - (repeatable)")
	p.StringVar(&f.mesh, "mesh", "", "the running local mesh `NAME`")
	p.StringVar(&f.dir, "dir", "", "the mesh of the control plane that serves alone with its state in `FOLDER`")
	p.StringVar(&f.kubeconfig, "kubeconfig", "", "the cluster of kubeconfig `FILE`")
	p.StringVar(&f.context, "context", "", "the cluster of kubeconfig context `NAME`")
	p.StringVarP(&f.namespace, "namespace", "n", "", "`NAMESPACE` in which short names are looked up")
	p.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "every namespace")
	p.StringVarP(&f.output, "output", "o", "", "print as `FORMAT`: table, wide, json or yaml")
	p.Var(&f.dialect, "dialect", "generation of Istio: "+f.dialect.list())
	p.Var(&f.color, "color", "when to colour: "+f.color.list())
	p.Var(&f.failOn, "fail-on", "what makes the exit status 1: "+f.failOn.list())
	p.BoolVarP(&f.verbose, "verbose", "v", false, "say more on standard error")
	p.DurationVar(&f.timeout, "timeout", 0, "give up after `DURATION`, such as 30s; 0 is never")
	must(root.MarkPersistentFlagDirname("dir"))
	a.completeFlags(root)
}

// knownVerb refuses what is no verb, with the nearest one as a hint.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	try := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 && distance(args[0], near[0], 3) <= len(args[0])/3 {
		try = cmd.CommandPath() + " " + near[0]
	}
	return usage(fmt.Errorf("run %q: no such verb", args[0]), try)
}

// atMost is cobra.MaximumNArgs in our words.
func atMost(n int) cobra.PositionalArgs { return between(0, n) }

// between is cobra.RangeArgs in our words.
func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= low && len(args) <= high {
			return nil
		}
		verb := strings.TrimPrefix(cmd.CommandPath(), "oarlock ")
		return usage(fmt.Errorf("run %s: it takes %s, not %s", verb, takes(cmd), plural(len(args), "argument")), cmd.CommandPath()+" --help")
	}
}

// takes gives the arguments of a command's usage line.
func takes(cmd *cobra.Command) string {
	_, rest, ok := strings.Cut(cmd.Use, " ")
	if !ok {
		return "no argument"
	}
	return rest
}
