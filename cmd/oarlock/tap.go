package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// tapFlags are the flags of tap.
type tapFlags struct {
	method, code, flags []string
	path                string
	mtls                choice
	limit               int
}

func newTapCommand(a *app) *cobra.Command {
	f := &tapFlags{mtls: choice{"", []string{"yes", "no"}, "yes|no"}}
	cmd := &cobra.Command{
		Use:   "tap [NAMESPACE|POD|SERVICE]",
		Short: "The requests and connections of a running mesh, as they end",
		Long: `The requests and connections of a running mesh, as they end: the lines of the
access logs of all sidecars, or of one namespace, one pod (POD[.NS], NS/POD,
deploy/NAME[.NS]) or of those behind one service. What comes in and what goes out
are two lines. Ctrl-C ends it.

A line has the time, the status (with the response flags of what failed), how long
it took, what the receiving sidecar saw of TLS, who called whom, and the request.
-o json prints one object a line, -o wide the line as the sidecar wrote it.`,
		Example: `  oarlock tap shop --code 5xx
  oarlock tap api.shop --mtls no
  oarlock tap --flags UC,URX -o json --limit 10`,
		Args:              atMost(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runTap(a, cmd, f, args) },
		ValidArgsFunction: a.completeArgs(a.tapWords),
	}
	p := cmd.Flags()
	p.StringSliceVar(&f.method, "method", nil, "only these `METHODS`, such as GET,POST")
	p.StringVar(&f.path, "path", "", "only paths that begin like `PATH`; * stands for anything")
	p.StringSliceVar(&f.code, "code", nil, "only these status `CODES`, such as 404 or 5xx")
	p.StringSliceVar(&f.flags, "flags", nil, "only lines with one of these response `FLAGS`, such as UC")
	p.Var(&f.mtls, "mtls", "only what came in with mTLS, or without it")
	p.IntVar(&f.limit, "limit", 0, "end after `N` lines; 0 is never")
	must(cmd.RegisterFlagCompletionFunc("mtls", cobra.FixedCompletions(f.mtls.words, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// tapWords lists what tap takes: namespaces, workloads and services.
func (a *app) tapWords(l *loaded, args []string) []string {
	out := append(l.namespaces(), a.clientWords(l, args)...)
	for _, s := range l.snap.Services {
		if !s.Entry() {
			out = append(out, s.Ref.Name+"."+s.Ref.Namespace)
		}
	}
	return slices.DeleteFunc(out, func(w string) bool { return w == outsideWord })
}

func runTap(a *app, cmd *cobra.Command, f *tapFlags, args []string) error {
	format, err := a.format("table", "wide", "json")
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := a.engineOnly("tap"); err != nil {
		return err
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return noMesh("tap", err)
	}
	t := newTapRun(a, f, format, mesh.Ref{})
	q, err := t.query(l, args)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer l.run.plane.Close()
	return t.run(ctx, l.run, q)
}

// check refuses filters that nothing could pass.
func (f *tapFlags) check() error {
	for _, c := range f.code {
		if len(c) != 3 || strings.Trim(strings.ToLower(c), "0123456789x") != "" {
			return usage(fmt.Errorf("parse flag --code %q: want a status such as 404 or 5xx", c), "")
		}
	}
	if f.limit < 0 {
		return usage(fmt.Errorf("parse flag --limit %d: want a number of lines", f.limit), "")
	}
	return nil
}

// tapRun is one run of tap.
type tapRun struct {
	app    *app
	flags  *tapFlags
	format string
	logs   *accesslog.Reader
	pod    mesh.Ref // of whom lines are wanted; zero: of all
	shown  int
}

func newTapRun(a *app, f *tapFlags, format string, pod mesh.Ref) *tapRun {
	return &tapRun{app: a, flags: f, format: format, logs: accesslog.NewReader(), pod: pod}
}

// query finds out what the argument names: a namespace, a pod or a workload, or a service.
func (t *tapRun) query(l *loaded, args []string) (api.TapQuery, error) {
	a := t.app
	if len(args) == 0 {
		return api.TapQuery{Namespace: a.namespace()}, nil
	}
	if slices.Contains(l.namespaces(), args[0]) {
		return api.TapQuery{Namespace: args[0]}, nil
	}
	p, err := a.chosenPod(l.status, args[0])
	if err == nil {
		if p.Name != podPart(args[0]) && p.Owner != nil {
			return api.TapQuery{Node: "workload/" + p.Namespace + "/" + p.Owner.Name + "." + p.Owner.Kind}, nil
		}
		t.pod = podRef(p)
		return api.TapQuery{Namespace: p.Namespace}, nil
	}
	s, serr := a.service(l, args[0], a.lookupNamespace(resolve.Client{}))
	if serr == nil {
		return api.TapQuery{Node: "service/" + s.Hostname}, nil
	}
	try := cmp.Or(asFailure(err, exitUsage).try, asFailure(serr, exitUsage).try)
	return api.TapQuery{}, usage(fmt.Errorf("find %q: no namespace, pod or service of mesh %s has that name", args[0], l.run.name), try)
}

// podPart is the name in POD.NS and NS/POD.
func podPart(arg string) string {
	if _, name, ok := strings.Cut(arg, "/"); ok {
		arg = name
	}
	name, _, _ := strings.Cut(arg, ".")
	return name
}

// errEnough ends a tap that has shown what was asked for.
var errEnough = errors.New("enough")

// run prints lines until somebody ends it.
func (t *tapRun) run(ctx context.Context, m *runningMesh, q api.TapQuery) error {
	err := m.plane.Tap(ctx, q, t.line)
	switch {
	case err == errEnough, ctx.Err() != nil:
		return nil
	case errors.Is(err, io.EOF):
		return m.unanswered(fmt.Errorf("the stream of its access logs ended"))
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		return err
	}
	return m.unanswered(err)
}

// line prints one line, if it passes.
func (t *tapRun) line(l *api.LogLine) error {
	if l.Pod == "" { // about the stream, not of it
		t.app.note("oarlock: %s", l.Text)
		return nil
	}
	tls := t.tlsSeen(l)
	if !t.pod.IsZero() && (l.Namespace != t.pod.Namespace || l.Pod != t.pod.Name) || !t.flags.pass(l, tls) {
		return nil
	}
	if err := t.print(l, tls); err != nil {
		return err
	}
	if t.shown++; t.shown == t.flags.limit {
		return errEnough
	}
	return nil
}

func (t *tapRun) print(l *api.LogLine, tls string) error {
	out := t.app.stdout
	switch t.format {
	case "json":
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("print json: %w", err)
		}
		out.Write(append(b, '\n'))
	case "wide":
		fmt.Fprintf(out, "%s.%s %s\n", l.Pod, l.Namespace, clean(l.Text))
	default:
		fmt.Fprintln(out, t.app.fitted(clean(tapLine(l, tls))))
	}
	return out.Flush()
}

// fitted cuts a line to the width of the terminal.
func (a *app) fitted(line string) string {
	if a.width > 0 && utf8.RuneCountInString(line) > a.width {
		return string([]rune(line)[:a.width-1]) + "…"
	}
	return line
}

// tapLine is a line for people. One that could not be read is printed as it came.
func tapLine(l *api.LogLine, tls string) string {
	if l.Time.IsZero() && l.Code == 0 && l.Method == "" {
		return fmt.Sprintf("%s.%s %s", l.Pod, l.Namespace, l.Text)
	}
	status := "-"
	if l.Code != 0 {
		status = fmt.Sprint(l.Code)
	}
	if l.Flags != "" && l.Flags != "-" {
		status += " " + l.Flags
	}
	request := strings.TrimSpace(l.Method + " " + l.Path)
	if request == "" {
		request = "TCP"
	}
	if l.Reason != "" && l.Reason != "-" {
		request += " (" + l.Reason + ")"
	}
	at := fmt.Sprintf("%-12s", "-") // the format of the log has no time
	if !l.Time.IsZero() {
		at = l.Time.UTC().Format("15:04:05.000")
	}
	return fmt.Sprintf("%s %-6s %6s %-9s %s  %s", at, status, fmt.Sprintf("%.0fms", l.Duration), tls, tapEnds(l), request)
}

// tapEnds says who called whom: "web -> api.shop". Of a pod it names the workload; -o wide and json name the pod.
func tapEnds(l *api.LogLine) string {
	from, to := idWord(l.From), idWord(l.To)
	self := l.Pod + "." + l.Namespace
	switch l.Direction {
	case "inbound":
		from, to = cmp.Or(from, "?"), cmp.Or(to, self)
	case "outbound":
		from, to = cmp.Or(from, self), cmp.Or(to, l.Authority, "?")
	default:
		return self
	}
	name, ns, _ := strings.Cut(from, ".")
	if _, other, _ := strings.Cut(to, "."); ns != "" && ns == other {
		from = name // of one namespace, which is said once
	}
	return from + " -> " + to
}

// idWord names a node of the graph as a person would: "web.shop" for workload/shop/web.Deployment.
func idWord(id string) string {
	kind, rest, _ := strings.Cut(id, "/")
	switch kind {
	case "workload":
		ns, name, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			name = name[:i]
		}
		return name + "." + ns
	case "service":
		host, _, _ := strings.Cut(rest, ".svc.")
		return host
	case "outside":
		return outsideWord
	}
	return rest
}

// tlsSeen says what the receiving sidecar saw: "mTLS", "plaintext", or "-" where the line does not say. Sidecars ask for a
// server name that no other client uses, and Istio's formats end with what was asked for.
func (t *tapRun) tlsSeen(l *api.LogLine) string {
	if l.Direction != "inbound" {
		return "-"
	}
	e, err := t.logs.Read(l.Text)
	switch {
	case err != nil:
		return "-"
	case strings.HasPrefix(e.RequestedServerName, "outbound_"), e.Downstream.PeerURISAN != "":
		return "mTLS"
	case !strings.HasPrefix(e.Format.Name(), "istio"):
		return "-"
	case e.RequestedServerName != "":
		return "TLS"
	}
	return "plaintext"
}

// pass says whether a line is wanted.
func (f *tapFlags) pass(l *api.LogLine, tls string) bool {
	switch {
	case len(f.method) > 0 && !slices.ContainsFunc(f.method, func(m string) bool { return strings.EqualFold(m, l.Method) }),
		len(f.code) > 0 && !slices.ContainsFunc(f.code, func(c string) bool { return codeLike(c, l.Code) }),
		f.path != "" && !pathLike(f.path, l.Path),
		f.mtls.value == "yes" && tls != "mTLS", f.mtls.value == "no" && tls != "plaintext":
		return false
	}
	have := strings.Split(l.Flags, ",")
	return len(f.flags) == 0 || slices.ContainsFunc(f.flags, func(x string) bool { return slices.Contains(have, strings.ToUpper(x)) })
}

// codeLike says whether a status is 404 or like 5xx.
func codeLike(want string, code int) bool {
	have := fmt.Sprintf("%03d", code)
	for i, c := range strings.ToLower(want) {
		if c != 'x' && byte(c) != have[i] {
			return false
		}
	}
	return len(have) == 3
}

// pathLike says whether a path begins like a pattern, in which * stands for anything.
func pathLike(pattern, path string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	path = path[len(parts[0]):]
	for _, p := range parts[1:] {
		i := strings.Index(path, p)
		if i < 0 {
			return false
		}
		path = path[i+len(p):]
	}
	return true
}
