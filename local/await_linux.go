package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

const (
	// portsBound is how long a process without a readiness probe may take until it listens on the ports that its container
	// declares. Then it is ready nevertheless, as in a cluster.
	portsBound = 5 * time.Second
	// calleeBound is how long a caller waits for a service that it calls, restBound how long for the last of its pods.
	calleeBound = 10 * time.Second
	restBound   = 3 * time.Second
	awaitPeriod = 20 * time.Millisecond
)

// awaitPorts waits until the container's process listens on all ports that the container declares.
func (c *container) awaitPorts(ctx context.Context) {
	c.mu.Lock()
	p := c.proc
	c.mu.Unlock()
	if p == nil || len(c.spec.Ports) == 0 {
		return
	}
	for begin := time.Now(); !c.listens(p.id.PID) && time.Since(begin) < portsBound; {
		if !sleep(ctx, awaitPeriod) {
			return
		}
	}
}

// listens says whether somebody listens on each port of the container where its callers come to.
func (c *container) listens(pid int) bool {
	left := slices.Clone(c.spec.Ports)
	want := c.pod.spec.AppAddr
	eachListener(strconv.Itoa(pid), func(at netip.AddrPort, _ string) {
		if at.Addr().IsUnspecified() || at.Addr() == want || !want.IsValid() && !at.Addr().IsLoopback() {
			left = slices.DeleteFunc(left, func(n uint32) bool { return n == uint32(at.Port()) })
		}
	})
	return len(left) == 0
}

// awaitCallees waits until whom the pod calls is ready, and its sidecar knows: for a while. Who never is ready keeps nobody
// from starting.
func (r *podRun) awaitCallees(ctx context.Context) {
	said := ""
	for begin := time.Now(); ctx.Err() == nil; {
		none, some := r.unanswered()
		took := time.Since(begin)
		if took > restBound {
			some = ""
		}
		if none == "" && some == "" && r.heard(ctx) || took > calleeBound {
			return
		}
		if why := awaitReason(none, some); why != said {
			said = why
			r.to(mesh.PhasePending, why)
		}
		sleep(ctx, awaitPeriod)
	}
}

// awaitReason says what a pod waits for: a port of which no pod is ready, one of which not all are, or its own sidecar.
func awaitReason(none, some string) string {
	switch {
	case none != "":
		return fmt.Sprintf("it waits for %s, which it calls", none)
	case some != "":
		return fmt.Sprintf("it waits for the other pods of %s, which it calls", some)
	}
	return "its sidecar does not know yet that whom it calls is ready"
}

// unanswered names the first port of which no pod is ready, and the first of which one is not.
func (r *podRun) unanswered() (none, some string) {
	for i := range r.spec.Awaits {
		a := &r.spec.Awaits[i]
		switch n := r.e.readyOf(a); {
		case n == 0 && none == "":
			none = a.Name
		case n < len(a.Pods) && some == "":
			some = a.Name
		}
	}
	return none, some
}

// readyOf counts the ready pods behind a port.
func (e *engine) readyOf(a *awaited) int {
	n := 0
	for _, ref := range a.Pods {
		if e.ready(ref) {
			n++
		}
	}
	return n
}

// heard says whether the pod's sidecar knows the endpoints that are ready. A cluster that it does not have is hidden from it.
func (r *podRun) heard(ctx context.Context) bool {
	wanted := map[string]int{}
	for i := range r.spec.Awaits {
		if a := &r.spec.Awaits[i]; a.Cluster != "" {
			wanted[a.Cluster] = r.e.readyOf(a)
		}
	}
	if len(wanted) == 0 || r.spec.Sidecar == nil {
		return true
	}
	known, err := r.endpoints(ctx)
	if err != nil {
		return false
	}
	for name, n := range wanted {
		if have, ok := known[name]; ok && have < n {
			return false
		}
	}
	return true
}

// endpoints counts those of each cluster that the pod's sidecar has.
func (r *podRun) endpoints(ctx context.Context) (map[string]int, error) {
	socket := r.spec.Sidecar.Bootstrap.Admin.Socket
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sidecar/clusters?format=json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var said struct {
		Clusters []struct {
			Name  string            `json:"name"`
			Hosts []json.RawMessage `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return nil, err
	}
	out := make(map[string]int, len(said.Clusters))
	for _, c := range said.Clusters {
		out[c.Name] = len(c.Hosts)
	}
	return out, nil
}
