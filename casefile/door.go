package casefile

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// doorway is a port of a workload as its sidecar sees it.
type doorway struct {
	server resolve.Server
	policy int32
}

// door runs an inbound or mode statement: what stands at a workload port, whoever calls.
func (run *runner) door(s *statement) *Failure {
	name, port, err := splitDoor(s.args[0])
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	w, err := pick("workload", name, run.snap.Workloads)
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	d := run.doorway(w, port)
	if s.verb == "mode" {
		a := answer{run: run}
		return compare(s, func(want want) string {
			switch want.key {
			case "server":
				return d.server.String()
			case "min":
				return run.r.ServerMinVersion()
			case "trusts":
				return strings.Join(run.r.PeerPrefixes(), " ")
			}
			return a.policy(d.policy)
		})
	}
	if w.Capture != mesh.CaptureSidecar || !w.Inbound.Captures(port) {
		return &Failure{Message: fmt.Sprintf("ask the sidecar: none captures port %d of %s", port, nameOf(w))}
	}
	attempt, err := parseAttempt(s.args[1:])
	if err != nil {
		return &Failure{Message: err.Error()}
	}
	outcome := run.r.Inbound(w, port, attempt)
	return compare(s, func(want) string { return outcome.String() })
}

func splitDoor(s string) (string, uint32, error) {
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("read workload port: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("read workload port: %w", err)
	}
	return name, uint32(n), nil
}

// doorway finds the service port that leads to a workload port. A legacy policy applies to service ports alone, so one
// that no service leads to has none; in the current dialect the workload's own mode holds there.
func (run *runner) doorway(w *mesh.Workload, port uint32) doorway {
	var d doorway
	for _, s := range run.r.ServicesOf(w) {
		for i := range s.Ports {
			if n, ok := s.Ports[i].TargetOn(w); ok && n == port {
				d.server, d.policy = run.r.ServerMode(w, s, s.Ports[i].Number)
				return d
			}
		}
	}
	d.server, d.policy = run.r.ServerMode(w, nil, port)
	return d
}
