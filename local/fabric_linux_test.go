package local

import (
	"os"
	"testing"
)

// TestFabricTrial is not a test but the child of FabricSupport.
func TestFabricTrial(t *testing.T) {
	RunFabricTrial()
	t.Skip("started by FabricSupport only")
}

func testSupport() (ok, rootless bool, reason string) {
	return fabricSupport("trial", "-test.run=^TestFabricTrial$")
}

func TestFabricSupport(t *testing.T) {
	ok, rootless, reason := testSupport()
	t.Log(ok, rootless, reason)
	t.Log(tryFabric(true, []string{"trial", "-test.run=^TestFabricTrial$"}))
	_ = os.Args
}
