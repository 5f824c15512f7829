package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

// TestPlaceName makes names of folders and files.
func TestPlaceName(t *testing.T) {
	dir := t.TempDir()
	for place, want := range map[string]string{
		"bookinfo": "bookinfo", "Shop Of Ann/": "shop-of-ann", "v1.2": "v1-2", "-x-": "x", "a_b": "a-b", "shop.yaml": "shop", "all.in.one.yaml": "all-in-one",
		"this-name-is-much-too-long-for-a-mesh-of-any-kind": "this-name-is-much-too-long-for-a-mesh-of",
	} {
		path := filepath.Join(dir, place)
		if filepath.Ext(place) == ".yaml" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if got := placeName(path); got != want {
			t.Errorf("%s is called %s, want %s", place, got, want)
		}
	}
	if a, b := placeName(filepath.Join(dir, "空")), placeName(filepath.Join(dir, "舟")); a == b || a == "" {
		t.Errorf("folders without a letter are called %s and %s", a, b)
	}
	t.Chdir(filepath.Join(dir, "bookinfo"))
	if got := placeName("."); got != "bookinfo" {
		t.Errorf("the folder itself is called %s", got)
	}
}

// TestServedMeshHasItsOwnName: that of its manifests, or of --name, and not of the folder of its state.
func TestServedMeshHasItsOwnName(t *testing.T) {
	for given, want := range map[string]string{"": "bookinfo-current", "large": "large"} {
		dir, err := os.MkdirTemp("", "oar") // a socket's path must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		a, _, _ := heardApp()
		a.flags.files, a.flags.dialect.value = []string{"../../examples/bookinfo-current"}, "auto"
		f := &serveFlags{dir: filepath.Join(dir, "state"), name: given, capture: "auto"}
		f.store.simulate, f.board.address = true, boardNone
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		cmd := &cobra.Command{}
		cmd.SetContext(ctx)
		go func() { done <- runServe(a, cmd, f) }()
		client := api.NewClient(filepath.Join(dir, "state", apiSocket))
		name := ""
		for end := time.Now().Add(longest); name == "" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if s, err := client.Status(ctx); err == nil {
				name = s.Mesh
			}
		}
		client.Close()
		cancel()
		if err := <-done; err != nil || name != want {
			t.Errorf("--name %q: the mesh is called %q, want %q: %v", given, name, want, err)
		}
	}
	a, _, _ := heardApp()
	a.flags.files, a.flags.dialect.value = []string{"."}, "auto"
	if err := runServe(a, &cobra.Command{}, &serveFlags{dir: "x", name: "Not A Name", capture: "auto"}); asFailure(err, exitOK).code != exitUsage {
		t.Errorf("a name that is none: %v", err)
	}
	a.flags.mesh = "keen-otter"
	if err := runServe(a, &cobra.Command{}, &serveFlags{name: "large", capture: "auto"}); asFailure(err, exitOK).code != exitUsage {
		t.Errorf("a second name: %v", err)
	}
}
