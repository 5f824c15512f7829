//go:build !linux

package local

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
)

func errNoFabric() error {
	return errors.New("transparent capture takes Linux's network namespaces, and this is " + runtime.GOOS)
}

// FabricSupport says no: only Linux has network namespaces.
func FabricSupport() (ok, rootless bool, reason string) { return false, false, errNoFabric().Error() }

// RunFabricTrial does nothing here.
func RunFabricTrial() {}

// EnterFabric does nothing here.
func EnterFabric(*exec.Cmd, bool) {}

// An OutsideServer cannot be made here.
type OutsideServer struct{}

// NewOutsideServer fails here.
func NewOutsideServer(*slog.Logger) (*OutsideServer, error) { return nil, errNoFabric() }

// Attach does nothing here.
func (*OutsideServer) Attach(*exec.Cmd) {}

// Serve fails here.
func (*OutsideServer) Serve(context.Context) error { return errNoFabric() }

// Close does nothing here.
func (*OutsideServer) Close() error { return nil }

// Outside cannot be made here.
type Outside struct{}

// NewOutside fails here.
func NewOutside() (*Outside, error) { return nil, errNoFabric() }

// Gone never ends here.
func (*Outside) Gone() <-chan struct{} { return nil }

// Close does nothing here.
func (*Outside) Close() error { return nil }

// Dial fails here.
func (*Outside) Dial(context.Context, string, string) (net.Conn, error) { return nil, errNoFabric() }

// Listen fails here.
func (*Outside) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errNoFabric()
}

// A Fabric cannot be made here.
type Fabric struct{}

// NewFabric fails here.
func NewFabric(FabricConfig) (*Fabric, error) { return nil, errNoFabric() }

// Gateway has no address here.
func (*Fabric) Gateway() netip.Addr { return netip.Addr{} }

// AddPod fails here.
func (*Fabric) AddPod(PodNet) (*PodNamespace, error) { return nil, errNoFabric() }

// SetServices fails here.
func (*Fabric) SetServices(map[netip.AddrPort][]netip.AddrPort) error { return errNoFabric() }

// Close does nothing here.
func (*Fabric) Close() error { return nil }

// A PodNamespace cannot be made here.
type PodNamespace struct{}

// Net is empty here.
func (*PodNamespace) Net() PodNet { return PodNet{} }

// SetCapture fails here.
func (*PodNamespace) SetCapture(Capture) error { return errNoFabric() }

// Start fails here.
func (*PodNamespace) Start(*exec.Cmd) error { return errNoFabric() }

// StartSidecar fails here.
func (*PodNamespace) StartSidecar(*exec.Cmd) error { return errNoFabric() }

// Listen fails here.
func (*PodNamespace) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errNoFabric()
}

// Dial fails here.
func (*PodNamespace) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errNoFabric()
}

// Close does nothing here.
func (*PodNamespace) Close() error { return nil }
