package local

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// How long after its start, and how often, one looks where an application listens.
const (
	lookBound  = 30 * time.Second
	lookPeriod = time.Second
)

// listening gives, for process groups, the TCP addresses on which their processes listen.
func listening(groups map[int]bool) map[int][]netip.AddrPort {
	owner := map[string]int{} // of a socket's inode
	for _, pid := range pids() {
		f := statFields(pid)
		if len(f) < 3 {
			continue
		}
		group, err := strconv.Atoi(f[2])
		if err != nil || !groups[group] {
			continue
		}
		fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				owner[strings.TrimSuffix(inode, "]")] = group
			}
		}
	}
	out := map[int][]netip.AddrPort{}
	eachListener("self", func(at netip.AddrPort, inode string) {
		if group := owner[inode]; group != 0 {
			out[group] = append(out[group], at)
		}
	})
	return out
}

// eachListener calls yield for every TCP socket that listens in the network of a process, by its id or "self".
func eachListener(process string, yield func(at netip.AddrPort, inode string)) {
	for _, table := range []string{"tcp", "tcp6"} {
		b, _ := os.ReadFile(filepath.Join("/proc", process, "net", table))
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line))
			const listen = "0A"
			if len(f) < 10 || f[3] != listen {
				continue
			}
			if at, ok := kernelAddress(f[1]); ok {
				yield(at, f[9])
			}
		}
	}
}

// listeningNets are the networks of meshes in which somebody listens: another user's mesh, of which we know no file.
func listeningNets() map[int]bool {
	out := map[int]bool{}
	eachListener("self", func(at netip.AddrPort, _ string) {
		if b := at.Addr().As16(); at.Addr().Is4() && b[12] == 127 {
			out[int(b[13])], out[int(b[13])-doorNet] = true, true
		}
	})
	return out
}

// kernelAddress reads "0100007F:1F90": words of the machine's byte order, which is little endian wherever meshes run.
func kernelAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), ok
}

// misplaced says which of the ports that a container declares it listens on where its callers do not come to, "" none.
// It never half works: the pod's reason and a problem say so and name the port.
func misplaced(want netip.Addr, ports []uint32, on []netip.AddrPort) string {
	for _, port := range ports {
		var wrong netip.Addr
		right := false
		for _, at := range on {
			if uint32(at.Port()) != port {
				continue
			}
			if at.Addr() == want || at.Addr().IsUnspecified() {
				right = true
			} else {
				wrong = at.Addr()
			}
		}
		if wrong.IsValid() && !right {
			return fmt.Sprintf("it listens on port %d of %s, where nobody finds it: it must listen on $BIND_ADDR (%s), or the mesh needs --capture transparent", port, wrong, want)
		}
	}
	return ""
}

// keepLooking finds the containers that listen where nobody comes to. A pod is looked at for a while after its start; what
// it did wrong until then stays said until it starts again.
func (e *engine) keepLooking(ctx context.Context) {
	for sleep(ctx, lookPeriod) {
		groups, young := map[int]bool{}, []*podRun{}
		for _, p := range e.list() {
			r := p.current()
			if r == nil || !r.spec.AppAddr.IsValid() || time.Since(r.started) > lookBound {
				continue
			}
			young = append(young, r)
			for _, c := range r.state().Containers {
				if c.Name != mesh.SidecarContainer && c.PID != 0 {
					groups[c.PID] = true
				}
			}
		}
		if len(groups) == 0 {
			continue
		}
		on := listening(groups)
		for _, r := range young {
			if r.look(on) {
				e.changed()
			}
		}
	}
}

// look says whether it found another problem than before.
func (r *podRun) look(on map[int][]netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []mesh.Problem
	for _, c := range r.containers {
		if text := misplaced(r.spec.AppAddr, c.spec.Ports, on[c.state().PID]); text != "" {
			w := r.spec.Workload
			ref := w.Owner
			if ref.IsZero() {
				ref = w.Ref
			}
			found = append(found, mesh.Problem{Severity: mesh.Warning, Ref: ref, Origin: w.Origin, Message: fmt.Sprintf("reach container %q: %s", c.spec.Name, text)})
		}
	}
	if slices.Equal(found, r.problems) {
		return false
	}
	r.problems = found
	return true
}
