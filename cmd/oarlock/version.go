package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/spf13/cobra"
)

// versionDocument is the answer of version.
type versionDocument struct {
	document
	Version  string   `json:"version"`
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Dialects []string `json:"dialects"`
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and which generations of Istio it knows",
		Args:  atMost(0),
		RunE:  func(*cobra.Command, []string) error { return runVersion(a) },
	}
}

func runVersion(a *app) error {
	format, err := a.format("table", "wide", "json", "yaml")
	if err != nil {
		return err
	}
	v := versionDocument{
		document: document{APIVersion: apiVersion, Kind: "Version"},
		Version:  moduleVersion(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Dialects: mesh.Dialects()[1:], // the first is auto
	}
	if format == "json" || format == "yaml" {
		return a.print(format, v)
	}
	_, err = fmt.Fprintf(a.stdout, "oarlock %s\ngo %s %s\ndialects %s\n",
		v.Version, strings.TrimPrefix(v.Go, "go"), v.Platform, strings.Join(v.Dialects, " "))
	return err
}

// moduleVersion is what the go command stamped into the binary: a tag, or the commit; "devel" where neither is known.
func moduleVersion() string {
	b, ok := debug.ReadBuildInfo()
	if !ok || b.Main.Version == "" || b.Main.Version == "(devel)" {
		return "devel"
	}
	return b.Main.Version
}
