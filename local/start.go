package local

import "time"

// StartOptions say what to start.
type StartOptions struct {
	// Name of the mesh; see MeshName.
	Name string
	// Executable is this program, an absolute path: it runs sidecars ("proxy --bootstrap FILE", unless a program
	// oarlock-proxy lies beside it), and stands for "oarlock" in the commands of containers.
	Executable string
	// Engine are the arguments by which it calls Serve; the path of the file for Serve is added.
	Engine []string
	// Control is the whole command line of the control plane; none is started where it is empty.
	Control []string
	// Capture is the way of capture: CaptureExplicit, CaptureTransparent, which is an error where this machine does not
	// allow it, or CaptureAuto, which takes transparent where it does. "" is CaptureExplicit.
	Capture string
	// Lease ends the mesh when the Client that Start gives is closed or its process ends, in whatever way.
	Lease bool
	// Env is the environment of the engine and the control plane; nil is this process's.
	Env []string
}

// Mesh is a mesh of this user.
type Mesh struct {
	Name    string
	Dir     string // its folder
	PID     int    // of the engine; 0 where it is stale
	Started time.Time
	// Stale says that its engine is gone: it was killed, or the machine was restarted.
	Stale bool
}
