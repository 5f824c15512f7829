package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocs runs every line `$ oarlock ...` in the code blocks of the documents that show examples/, in the root of the
// repository, and wants the lines below it to be what is printed. -update writes them. A block that is marked as live
// (```text live) shows a mesh that runs, whose names and times are of the day: its commands must be there, no more.
func TestDocs(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	t.Setenv("XDG_STATE_HOME", t.TempDir()) // where no mesh runs
	for _, pattern := range []string{"README.md", "docs/cli.md", "examples/README.md", "examples/*/README.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			t.Run(name, func(t *testing.T) { testDocument(t, name) })
		}
	}
}

func testDocument(t *testing.T, name string) {
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := withOutput(t, string(src))
	if want == string(src) {
		return
	}
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s does not show what is printed (go test ./cmd/oarlock -run TestDocs -update):\n%s", name, firstDifference(string(src), want))
}

// withOutput gives a document with the output of its commands as it is today.
func withOutput(t *testing.T, doc string) string {
	t.Helper()
	var out []string
	inBlock, skipping, live := false, false, false
	for line := range strings.Lines(doc) {
		fence := strings.HasPrefix(line, "```")
		command, isCommand := strings.CutPrefix(line, "$ oarlock ")
		switch {
		case fence:
			inBlock, skipping, live = !inBlock, false, strings.HasSuffix(strings.TrimSpace(line), " live")
			out = append(out, line)
		case inBlock && isCommand && live:
			knownCommand(t, strings.Fields(command))
			out = append(out, line)
		case inBlock && isCommand:
			skipping = true
			out = append(out, line, outputOf(strings.Fields(command)))
		case !skipping:
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// knownCommand makes sure that a command line makes sense, without running it.
func knownCommand(t *testing.T, args []string) {
	t.Helper()
	if end := slices.IndexFunc(args, func(a string) bool { return a == "--" || a == "|" || a == "&" }); end >= 0 {
		args = args[:end]
	}
	if out := outputOf(append(slices.Clone(args), "--help")); !strings.Contains(out, "Usage:") {
		t.Errorf("oarlock %s: %s", strings.Join(args, " "), out)
	}
}

// outputOf gives what a person sees at the terminal, standard error included.
func outputOf(args []string) string {
	var seen bytes.Buffer
	run(context.Background(), args, strings.NewReader(""), &seen, &seen)
	if s := seen.String(); s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return seen.String() + "\n"
}

// firstDifference gives the line in which two texts part, both ways.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "- " + g[i] + "\n+ " + w[i]
		}
	}
	longer := slices.Concat(g[min(len(g), len(w)):], w[min(len(g), len(w)):])
	return strings.Join(longer, "\n")
}
