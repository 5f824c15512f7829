package local

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// Paths are where a mesh of this user keeps its things. Folders have mode 0700 and files 0600.
type Paths struct {
	Name string
	// State is the mesh's folder: pods, logs, addresses, and the control plane's own folders. It goes with the mesh.
	State string
	// Run is the folder of the sockets.
	Run string
}

// maxSocketPath is what sockaddr_un holds, without the closing zero.
const maxSocketPath = 107

// The longest name that is made in Paths.Run.
const longestSocket = "control-admin.sock"

// MeshName says whether a mesh may be called so: small letters, digits and hyphens, 40 at most.
func MeshName(name string) bool { return validName.MatchString(name) }

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// PathsOf gives the folders of a mesh: below $XDG_STATE_HOME/oarlock/meshes (default ~/.local/state), and sockets below
// $XDG_RUNTIME_DIR/oarlock (default a folder of the user's below the folder for temporary files). Nothing is made. A name
// that is none, or that makes the path of a socket longer than the system takes, is an error.
func PathsOf(name string) (Paths, error) {
	if !MeshName(name) {
		return Paths{}, fmt.Errorf("name mesh %q: want small letters, digits and hyphens, at most 40", name)
	}
	state, err := stateRoot()
	if err != nil {
		return Paths{}, err
	}
	p := Paths{Name: name, State: filepath.Join(state, name), Run: filepath.Join(runRoot(), name)}
	if n := len(p.Socket(longestSocket)); n > maxSocketPath {
		return Paths{}, fmt.Errorf("place sockets in %s: the path of a socket would have %d bytes, the system takes %d: set XDG_RUNTIME_DIR to a shorter folder", p.Run, n, maxSocketPath)
	}
	return p, nil
}

func stateRoot() (string, error) {
	home := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(home) { // as the specification wants it: a relative path does not count
		dir, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find state folder: %w", err)
		}
		home = filepath.Join(dir, ".local", "state")
	}
	return filepath.Join(home, "oarlock", "meshes"), nil
}

func runRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "oarlock")
	}
	return filepath.Join(os.TempDir(), "oarlock-"+strconv.Itoa(os.Getuid()))
}

// Socket is a socket of the mesh: "xds.sock".
func (p Paths) Socket(name string) string { return filepath.Join(p.Run, name) }

// EngineLog is what the engine writes, ControlLog what the control plane writes.
func (p Paths) EngineLog() string { return filepath.Join(p.State, "engine.log") }

// ControlLog is what the control plane writes.
func (p Paths) ControlLog() string { return filepath.Join(p.State, "control.log") }

func (p Paths) engineSocket() string { return p.Socket("engine.sock") }
func (p Paths) execSocket() string   { return p.Socket("exec.sock") }
func (p Paths) config() string       { return filepath.Join(p.State, "engine.json") }
func (p Paths) run() string          { return filepath.Join(p.State, "run.json") }
func (p Paths) addresses() string    { return filepath.Join(p.State, "addresses.json") }
func (p Paths) lock() string         { return filepath.Join(p.State, "lock") }

// pod is the folder of a pod.
func (p Paths) pod(namespace, name string) string {
	return filepath.Join(p.State, "pods", namespace, name)
}

// admin is the admin socket of a pod's sidecar; by number, since names are too long for a socket.
func (p Paths) admin(index int) string { return p.Socket("p" + strconv.Itoa(index) + ".sock") }

// ownFolder makes a folder, with its parents, that only this user may enter, and refuses one that is somebody else's.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("make folder %s: it is no folder", dir)
	}
	if !ownedByUs(st) {
		return fmt.Errorf("use folder %s: it belongs to another user", dir)
	}
	if st.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return nil
}
