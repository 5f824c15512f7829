package main

import (
	"fmt"

	"github.com/oarlock/oarlock/casefile"
	"github.com/spf13/cobra"
)

func newTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR|FILE...",
		Short: "Run resolver cases: meshes with the verdicts they should give",
		Long: `Run resolver cases: text files that hold a mesh and the verdicts that it should
give. Of a directory, every *.txt file that begins with the line of the format
is run.

The exit status is 1 where a case fails. docs/cases.md describes the format.`,
		Example: `  oarlock test policies/cases`,
		Args:    between(1, 1<<16),
		RunE:    func(_ *cobra.Command, args []string) error { return runTest(a, args) },
	}
}

// runTest runs all files, so that one that cannot be read hides no failure in another.
func runTest(a *app, paths []string) error {
	if _, err := a.format("table"); err != nil {
		return err
	}
	var results []casefile.Result
	for _, path := range paths {
		names, err := casefile.Find(path)
		if err != nil {
			return unreadable(err, "")
		}
		if len(names) == 0 {
			return unreadable(fmt.Errorf("find cases in %q: no file begins with the line of the format", path), "")
		}
		for _, name := range names {
			more, err := casefile.RunFile(name)
			if err != nil {
				a.report(asFailure(err, exitUnreadable))
				a.partial = true
				continue
			}
			results = append(results, more...)
		}
	}
	if err := casefile.Format(a.stdout, results); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Passed() {
			return findings()
		}
	}
	return nil
}
