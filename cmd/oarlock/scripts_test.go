package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// TestMain makes the test binary the oarlock command for the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"oarlock": main})
}

// TestScripts runs testdata/script/*.txt: each is a story, or what one verb does. $EXAMPLES is the folder examples/ of
// the repository, read-only by convention: a script that edits copies it.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                serverCommands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			env.Setenv("NO_COLOR", "")
			env.Setenv("GORACE", "atexit_sleep_ms=10") // a second otherwise, for each command under the race detector
			// No mesh that runs on the machine is seen by a script, and a socket's path must be short.
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("XDG_RUNTIME_DIR", shortFolder(env))
			env.Defer(func() { takeAllDown(env) })
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mesh": // meshes run here
				return runtime.GOOS == "linux", nil
			case "root": // to whom a folder without permission is open
				return os.Geteuid() == 0, nil
			case "require": // what is missing on the machine is a failure
				return os.Getenv("OARLOCK_REQUIRE") != "", nil
			case "full": // there is a device that has no room
				_, err := os.Stat("/dev/full")
				return err == nil, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
	})
}

// shortFolder makes a folder for sockets that goes with the script.
func shortFolder(env *testscript.Env) string {
	dir, err := os.MkdirTemp("", "oar")
	if err != nil {
		env.T().Fatal(err)
	}
	env.Defer(func() { os.RemoveAll(dir) })
	return dir
}

// takeAllDown ends the meshes that a script has left running.
func takeAllDown(env *testscript.Env) {
	if names, err := os.ReadDir(filepath.Join(env.WorkDir, "state", "oarlock", "meshes")); err != nil || len(names) == 0 {
		return
	}
	self, err := os.Executable()
	if err != nil {
		env.T().Fatal(err)
	}
	down := exec.Command(self, "down", "--all")
	down.Args[0], down.Env = "oarlock", env.Vars // by that name it is the command
	if out, err := down.CombinedOutput(); err != nil {
		env.T().Fatal(err, string(out))
	}
}
