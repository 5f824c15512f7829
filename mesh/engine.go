package mesh

import (
	"context"
	"io"
	"net"
	"os"
	"time"
)

// Engine is where the workloads of a mesh run: processes of this machine, or a cluster. Its methods may be called from any
// goroutine. A pod is named by its Ref (KindPod); one that is not there is an error that wraps fs.ErrNotExist.
type Engine interface {
	// Running says what runs now, and gives a channel that is closed when that is no longer all.
	Running(ctx context.Context) (*Running, <-chan struct{}, error)
	// Logs reads what a container wrote, oldest first; with follow it goes on until ctx ends or the reader is closed.
	// The sidecar's container is called "istio-proxy".
	Logs(ctx context.Context, pod Ref, container string, follow bool) (io.ReadCloser, error)
	// Exec runs a command where the container runs and waits for it. The error is for a command that could not be run.
	Exec(ctx context.Context, pod Ref, e Exec) (exitCode int, err error)
	// Admin connects to the admin socket of the pod's sidecar.
	Admin(ctx context.Context, pod Ref) (net.Conn, error)
}

// Exec is a command for Engine.Exec.
type Exec struct {
	// Container is whose surroundings it gets; "" is the first. In SidecarContainer it goes past capture, as the
	// sidecar's own traffic does.
	Container string
	Command   []string
	// Certificates is the folder with the workload's certificate files, for a command in SidecarContainer: it runs there,
	// and finds it in $OARLOCK_CERTS. "" is none.
	Certificates string
	Stdin        *os.File // nil is empty
	Stdout       *os.File
	Stderr       *os.File
}

// SidecarContainer is the name of the sidecar's container, and what Exec and Logs call it.
const SidecarContainer = "istio-proxy"

// Running is what an Engine runs at one moment. It is immutable.
type Running struct {
	Pods []Pod // by namespace, name
	// ServiceIPs are the addresses that the engine gave to Services that name none.
	ServiceIPs map[Ref]string
	// Capture says how traffic comes into the sidecars, "transparent" or "explicit", and CaptureWhy the reason.
	Capture, CaptureWhy string
	// Problems are what the engine could not run as it is written, in order.
	Problems []Problem
}

// Pod is one running instance.
type Pod struct {
	// Workload is of KindPod: its Addresses are real, its Owner is the workload of the manifests.
	Workload *Workload
	Phase    Phase
	// Ready says that every readiness probe passes, the sidecar's included.
	Ready bool
	// Reason says in a clause why a pod is not ready, or what its last restart was for; "" where there is nothing to say.
	Reason   string
	Restarts int
	Started  time.Time
}

// Phase is how far a pod is.
type Phase string

// The phases, in Kubernetes' words.
const (
	PhasePending   Phase = "Pending"
	PhaseRunning   Phase = "Running"
	PhaseSucceeded Phase = "Succeeded"
	PhaseFailed    Phase = "Failed"
)
