package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/resolve"
	"github.com/spf13/cobra"
)

// words gives the candidates for one argument; args are those before it.
type words func(l *loaded, args []string) []string

// completeArgs completes positional arguments from the mesh that -f names. It prints nothing: what a shell shows while a
// person types must not be disturbed.
func (a *app) completeArgs(each ...words) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(each) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(cmd, toComplete, func(l *loaded) []string { return each[len(args)](l, args) })
	}
}

func (a *app) complete(cmd *cobra.Command, prefix string, from func(*loaded) []string) ([]string, cobra.ShellCompDirective) {
	if slices.Contains(a.flags.files, "-") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	l, err := a.load(cmd.Context())
	if errors.Is(err, errNoMesh) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, w := range from(l) {
		if strings.HasPrefix(w, prefix) {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	directive := cobra.ShellCompDirectiveNoFileComp
	if len(out) > 0 && !slices.ContainsFunc(out, func(s string) bool { return !strings.HasSuffix(s, ":") && !strings.HasSuffix(s, "/") }) {
		directive |= cobra.ShellCompDirectiveNoSpace // more of the word is to come
	}
	return slices.Compact(out), directive
}

// completeFlags completes the global flags that take a word of a list or a name of the mesh.
func (a *app) completeFlags(root *cobra.Command) {
	fixed := map[string][]string{
		"dialect": a.flags.dialect.words,
		"color":   a.flags.color.words,
		"fail-on": a.flags.failOn.words,
	}
	for flag, list := range fixed {
		must(root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)))
	}
	must(root.RegisterFlagCompletionFunc("output", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		if cmd.Name() == "graph" {
			return graphFormats(), cobra.ShellCompDirectiveNoFileComp
		}
		return []string{"table", "wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp
	}))
	must(root.RegisterFlagCompletionFunc("namespace", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return a.complete(cmd, prefix, (*loaded).namespaces)
	}))
}

// must is for mistakes in this package's own flag names.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// namespaces lists every namespace that holds something, in order.
func (l *loaded) namespaces() []string {
	var out []string
	for _, n := range l.snap.Namespaces {
		out = append(out, n.Ref.Name)
	}
	for _, s := range l.snap.Services {
		out = append(out, s.Ref.Namespace)
	}
	for _, w := range l.snap.Workloads {
		out = append(out, w.Ref.Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// clientWords lists every client.
func (a *app) clientWords(l *loaded, _ []string) []string {
	out := []string{outsideWord}
	for _, w := range l.snap.Workloads {
		if ns := a.namespace(); ns == "" || w.Ref.Namespace == ns {
			out = append(out, l.clientName(resolve.Client{Workload: w}))
		}
	}
	return out
}

// serviceWords lists every port of every service as NAME.NS:PORT, and of hosts outside the mesh as HOST:PORT.
func (a *app) serviceWords(l *loaded, _ []string) []string {
	var out []string
	for _, s := range l.snap.Services {
		name := s.Hostname
		if !s.Entry() {
			name = s.Ref.Name + "." + s.Ref.Namespace
		}
		for _, p := range s.Ports {
			out = append(out, fmt.Sprintf("%s:%d", name, p.Number))
		}
	}
	return out
}

// resourceWords lists what the mtls verbs take: mesh, NS, NS/SERVICE and NS/SERVICE:PORT.
func (a *app) resourceWords(l *loaded, _ []string) []string {
	out := append([]string{"mesh"}, l.namespaces()...)
	for _, s := range l.snap.Services {
		if s.Entry() {
			continue
		}
		name := s.Ref.Namespace + "/" + s.Ref.Name
		out = append(out, name)
		for _, p := range s.Ports {
			out = append(out, fmt.Sprintf("%s:%d", name, p.Number))
		}
	}
	return out
}
