package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sync/errgroup"
)

// Bounds of logs.
const (
	detailLines = 50
	detailPods  = 6 // of each end of an edge, whose logs are read
	detailTime  = 2 * time.Second
	baseTail    = 100
	mostTail    = 1000
	maxLogLine  = 16 << 10 // bytes; the rest of a longer line is left out
	tapPods     = 100
	tapBuffer   = 256 // lines that wait for a slow reader; more are left out, and counted
	tapLook     = 2 * time.Second
)

// logOff is why there are no lines.
const logOff = "the access log is off; accessLogFile: /dev/stdout in the ConfigMap istio puts it on"

// logReader reads the access log of a mesh, in whatever format it is told to write.
func logReader(s *mesh.Snapshot) *accesslog.Reader {
	c := &s.Config
	if c.AccessLogFormat == "" {
		return accesslog.NewReader()
	}
	parse := accesslog.ParseText
	if c.AccessLogEncoding == "JSON" {
		parse = accesslog.ParseJSON
	}
	if f, err := parse(c.AccessLogFormat); err == nil {
		return accesslog.NewReader(f)
	}
	return accesslog.NewReader()
}

func logIsOn(s *mesh.Snapshot) bool {
	return s.Config.AccessLogFile != "" && s.Config.AccessLogFile != "/dev/null"
}

// logSource reads lines of access logs and says between whom they are.
type logSource struct {
	now    *Now
	reader *accesslog.Reader
}

func newLogSource(n *Now) *logSource { return &logSource{n, logReader(n.Taken)} }

// line is one line of a pod's sidecar; false where it is none of the access log.
func (s *logSource) line(pod *mesh.Workload, text string) (api.LogLine, bool) {
	out := api.LogLine{Namespace: pod.Ref.Namespace, Pod: pod.Ref.Name, Text: text}
	e, err := s.reader.Read(text)
	if err != nil {
		return out, false
	}
	out.Time, out.Method, out.Authority, out.Path, out.Code = e.Start, e.Method, e.Authority, e.Path, int(e.ResponseCode)
	out.Flags, out.Cluster = e.Flags.String(), e.UpstreamCluster
	if e.Duration >= 0 {
		out.Duration = float64(e.Duration.Microseconds()) / 1000
	}
	if out.Reason = e.UpstreamTransportFailure; out.Reason == "" {
		out.Reason = e.DownstreamTransportFailure
	}
	parts := strings.Split(e.UpstreamCluster, "|")
	switch {
	case len(parts) == 4 && parts[0] == "outbound":
		out.Direction, out.From, out.To = "outbound", workloadNode(pod), "service/"+parts[3]
	case len(parts) == 4 && parts[0] == "inbound", strings.HasPrefix(e.UpstreamCluster, "Inbound"):
		out.Direction, out.To, out.From = "inbound", workloadNode(pod), s.caller(&e.Record)
	case e.UpstreamCluster != "":
		out.Direction, out.From = "outbound", workloadNode(pod)
	default: // no cluster was chosen: the address says on which side it came in
		if at, err := netip.ParseAddrPort(e.DownstreamRemoteAddress); err == nil && slices.Contains(pod.Addresses, at.Addr().String()) {
			out.Direction, out.From = "outbound", workloadNode(pod)
		} else {
			out.Direction, out.To, out.From = "inbound", workloadNode(pod), s.caller(&e.Record)
		}
	}
	return out, true
}

// caller is the node of whoever called, by the address; "" where nobody has it.
func (s *logSource) caller(r *accesslog.Record) string {
	at, err := netip.ParseAddrPort(r.DownstreamRemoteAddress)
	if err != nil {
		return ""
	}
	if w := s.now.resolver().ByAddress(at.Addr().String()); w != nil {
		return workloadNode(w)
	}
	return ""
}

// tail keeps the last lines of a pod's access log that want takes.
func (a *API) tail(ctx context.Context, s *logSource, pod *mesh.Workload, want func(*api.LogLine) bool) []api.LogLine {
	in, err := a.opt.Engine.Logs(ctx, pod.Ref, mesh.SidecarContainer, false)
	if err != nil {
		return nil
	}
	defer in.Close()
	var last []string // only what is shown is taken apart
	_ = eachLine(in, func(text string) bool {
		if last = append(last, text); len(last) >= 2*mostTail {
			last = append(last[:0], last[len(last)-mostTail:]...)
		}
		return ctx.Err() == nil
	})
	var out []api.LogLine
	for _, text := range slices.Backward(last) {
		if one, ok := s.line(pod, text); ok && want(&one) {
			if out = append(out, one); len(out) == detailLines {
				break
			}
		}
	}
	slices.Reverse(out)
	return out
}

// eachLine reads lines, each without its end and at most maxLogLine long, until take refuses one.
func eachLine(in io.Reader, take func(text string) bool) error {
	r := bufio.NewReaderSize(in, maxLogLine)
	for {
		text, err := r.ReadSlice('\n')
		line := strings.TrimRight(string(text), "\r\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if line != "" && !take(strings.ToValidUTF8(line, "\uFFFD")) {
			return nil
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// tails reads the logs of several pods and gives the newest lines, newest last.
func (a *API) tails(ctx context.Context, s *logSource, pods []*mesh.Pod, want func(*api.LogLine) bool) ([]api.LogLine, string) {
	out := []api.LogLine{}
	if !logIsOn(s.now.Taken) {
		return out, logOff
	}
	ctx, cancel := context.WithTimeout(ctx, detailTime)
	defer cancel()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(detailPods)
	for _, p := range pods {
		if p.Workload.Capture != mesh.CaptureSidecar {
			continue
		}
		group.Go(func() error {
			lines := a.tail(ctx, s, p.Workload, want)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, lines...)
			return nil
		})
	}
	_ = group.Wait() // none gives an error
	slices.SortStableFunc(out, func(x, y api.LogLine) int { return x.Time.Compare(y.Time) })
	note := ""
	if ctx.Err() != nil {
		note = "the logs are long, and were not read to their end"
	}
	return out[max(0, len(out)-detailLines):], note
}

// edgeLog has the newest lines about an edge, of both ends.
func (a *API) edgeLog(ctx context.Context, p *picture, e *api.Edge, from, to []*mesh.Pod) ([]api.LogLine, string) {
	pods := slices.Concat(from[:min(len(from), detailPods)], to[:min(len(to), detailPods)])
	return a.tails(ctx, newLogSource(p.now), pods, edgeLines(p, e))
}

// edgeLines takes lines that are about an edge.
func edgeLines(p *picture, e *api.Edge) func(*api.LogLine) bool {
	server := p.node(e.To)
	targets := map[string]bool{"inbound|" + strconv.Itoa(int(e.Port)) + "||": true}
	for _, svc := range p.now.resolver().Snapshot().Services {
		if serviceNode(svc) != e.To {
			continue
		}
		if q := svc.Port(e.Port); q != nil {
			for _, w := range p.now.resolver().Endpoints(svc) {
				if n, ok := q.TargetOn(w); ok {
					targets["inbound|"+strconv.Itoa(int(n))+"||"] = true
				}
			}
		}
	}
	unknown := p.node(e.From).Kind == "outside"
	return func(l *api.LogLine) bool {
		if l.Direction == "outbound" {
			return l.From == e.From && l.To == e.To && (e.Port == 0 || strings.HasPrefix(l.Cluster, "outbound|"+strconv.Itoa(int(e.Port))+"|"))
		}
		if l.To != e.To && !slices.Contains(server.Endpoints, l.To) || l.From != e.From && (l.From != "" || !unknown) {
			return false
		}
		return l.Cluster == "" || e.Port == 0 || targets[l.Cluster]
	}
}

// nodeLog has the newest lines of a node's sidecars.
func (a *API) nodeLog(ctx context.Context, p *picture, pods []*mesh.Pod) ([]api.LogLine, string) {
	return a.tails(ctx, newLogSource(p.now), pods[:min(len(pods), 2*detailPods)], func(*api.LogLine) bool { return true })
}

// logs is GET /v1/logs.
func (a *API) logs(w http.ResponseWriter, r *http.Request) {
	pod, err := a.podParam(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	lines, err := intParam(r, "tail", baseTail, 0, mostTail)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	container, follow := r.FormValue("container"), r.FormValue("follow") == "true"
	if container == "" {
		container = firstContainer(pod.Workload)
	}
	ctx := r.Context()
	if follow {
		if !a.enterLog() {
			a.refuse(w, r, wrong(http.StatusServiceUnavailable, "follow log: %d logs are followed already", maxLogStream))
			return
		}
		defer func() { <-a.taps }()
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	skip, err := a.bytesBefore(ctx, pod.Workload.Ref, container, lines)
	if err == nil {
		var in io.ReadCloser
		if in, err = a.opt.Engine.Logs(ctx, pod.Workload.Ref, container, follow); err == nil {
			defer in.Close()
			copyLog(w, in, skip)
			return
		}
	}
	a.refuse(w, r, wrong(http.StatusServiceUnavailable, "read log of %s: %w", podWord(pod.Workload.Ref), err))
}

func (a *API) enterLog() bool {
	select {
	case a.taps <- struct{}{}:
		return true
	default:
		return false
	}
}

// firstContainer is the first that is the application's, or else the sidecar.
func firstContainer(w *mesh.Workload) string {
	for i := range w.Containers {
		if w.Containers[i].Name != mesh.SidecarContainer {
			return w.Containers[i].Name
		}
	}
	return mesh.SidecarContainer
}

// bytesBefore counts the bytes before the last lines of a log.
func (a *API) bytesBefore(ctx context.Context, pod mesh.Ref, container string, lines int) (int64, error) {
	in, err := a.opt.Engine.Logs(ctx, pod, container, false)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	starts, at, fresh := make([]int64, 0, lines+2), int64(0), true
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		part, err := r.ReadSlice('\n')
		if fresh && len(part) > 0 {
			if starts = append(starts, at); len(starts) > lines {
				starts = starts[1:]
			}
		}
		at += int64(len(part))
		fresh = err == nil
		if err == nil || errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != io.EOF {
			return 0, err
		}
		if len(starts) == 0 {
			return at, nil
		}
		return starts[0], nil
	}
}

// copyLog sends a log as it comes, as text that no browser takes for a page.
func copyLog(w http.ResponseWriter, in io.Reader, skip int64) {
	if _, err := io.CopyN(io.Discard, in, skip); err != nil && err != io.EOF {
		return
	}
	w.Header().Set("Content-Type", contentText)
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()
	buf := make([]byte, 16<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(streamWrite))
			if _, werr := w.Write(buf[:n]); werr != nil {
				return
			}
			_ = control.Flush()
		}
		if err != nil {
			return
		}
	}
}
