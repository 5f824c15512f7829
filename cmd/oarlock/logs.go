package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
)

// logFlags are the flags of logs.
type logFlags struct {
	container string
	follow    bool
	tail      int
}

func newLogsCommand(a *app) *cobra.Command {
	f := &logFlags{}
	cmd := &cobra.Command{
		Use:   "logs POD [-c CONTAINER] [-f] [--tail N]",
		Short: "What a container of a running mesh wrote",
		Long: `What a container of a running mesh wrote, oldest first. With -c istio-proxy it is
the sidecar's: its own records and, where accessLogFile of the MeshConfig is
/dev/stdout, a line for each request and connection.`,
		Example: `  oarlock logs web-1.shop
  oarlock logs deploy/web.shop -c istio-proxy -f`,
		Args:              between(1, 1),
		RunE:              func(cmd *cobra.Command, args []string) error { return runLogs(a, cmd, f, args[0]) },
		ValidArgsFunction: a.completePods,
	}
	p := cmd.Flags()
	// Here -f is follow, as kubectl has it; the flag for manifests, which would be refused, gives up its letter.
	p.StringArrayVar(&a.flags.files, "filename", nil, "")
	must(p.MarkHidden("filename"))
	p.StringVarP(&f.container, "container", "c", "", "the `CONTAINER`; istio-proxy is the sidecar (default the first)")
	p.BoolVarP(&f.follow, "follow", "f", false, "go on as more is written")
	p.IntVar(&f.tail, "tail", -1, "the last `N` lines; -1 is all")
	return cmd
}

func runLogs(a *app, cmd *cobra.Command, f *logFlags, pod string) error {
	if f.tail < -1 {
		return usage(fmt.Errorf("parse flag --tail %d: want a number of lines, or -1", f.tail), "")
	}
	m, s, p, err := a.attachPod(cmd.Context(), "logs", pod)
	if err != nil {
		return err
	}
	defer m.close()
	a.accessLogNote(s, p, f)
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	l := &logCopy{app: a, open: func(follow bool) (io.ReadCloser, error) {
		return m.engine.Logs(ctx, podRef(p), f.container, follow)
	}}
	if err := l.copy(ctx, f.tail, f.follow); err != nil && ctx.Err() == nil {
		return asFailure(err, exitUnreadable)
	}
	return nil
}

// accessLogNote says where the access log is off: an empty log is no proof that nothing was called.
func (a *app) accessLogNote(s *api.Status, p *api.Pod, f *logFlags) {
	if f.container == mesh.SidecarContainer && p.Sidecar && !s.AccessLog.On {
		a.note("oarlock: the access log of mesh %s is off; set accessLogFile: /dev/stdout in the ConfigMap istio to have a line for each request", s.Mesh)
	}
}

// logCopy prints one log.
type logCopy struct {
	app  *app
	open func(follow bool) (io.ReadCloser, error)
}

// copy prints the last lines of a log, all with -1, and what comes after them if it follows.
func (l *logCopy) copy(ctx context.Context, tail int, follow bool) error {
	if tail >= 0 && !follow {
		return l.last(tail)
	}
	skip := int64(0)
	if tail >= 0 {
		var err error
		if skip, err = l.before(tail); err != nil {
			return err
		}
	}
	r, err := l.open(follow)
	if err != nil {
		return err
	}
	defer r.Close()
	in := bufio.NewReader(r)
	if _, err := io.CopyN(io.Discard, in, skip); err != nil {
		return plainEOF(err)
	}
	for {
		line, err := in.ReadString('\n')
		if _, werr := l.app.stdout.WriteString(l.app.shown(line)); werr != nil {
			return werr
		}
		if in.Buffered() == 0 {
			if werr := l.app.stdout.Flush(); werr != nil {
				return werr
			}
		}
		if err != nil || ctx.Err() != nil {
			return plainEOF(err)
		}
	}
}

// last prints the last lines of a log. It is read once: where it grows meanwhile, they are no more than that.
func (l *logCopy) last(n int) error {
	r, err := l.open(false)
	if err != nil {
		return err
	}
	defer r.Close()
	var lines []string
	for in := bufio.NewReader(r); err == nil; {
		var line string
		if line, err = in.ReadString('\n'); line != "" {
			lines = append(lines, line)
		}
		lines = lines[max(0, len(lines)-n):]
	}
	for _, line := range lines {
		if _, werr := l.app.stdout.WriteString(l.app.shown(line)); werr != nil {
			return werr
		}
	}
	return plainEOF(err)
}

// before counts the bytes before the last lines.
func (l *logCopy) before(lines int) (int64, error) {
	r, err := l.open(false)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	in := bufio.NewReader(r)
	starts := []int64{0} // of the last lines, the oldest first; the last one is where the next line would begin
	for {
		line, err := in.ReadString('\n')
		if len(line) > 0 {
			if starts = append(starts, starts[len(starts)-1]+int64(len(line))); len(starts) > lines+1 {
				starts = starts[1:]
			}
		}
		if err != nil {
			return starts[0], plainEOF(err)
		}
	}
}

// plainEOF takes the end of a log for none.
func plainEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
