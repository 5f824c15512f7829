package main

import "testing"

// TestHintKeepsFlags writes hints for commands whose folder has the name of the namespace, or of the verb.
func TestHintKeepsFlags(t *testing.T) {
	a := &app{args: []string{"-f", "shop", "--dialect", "1.4", "mtls", "require", "shop", "--dry-run"}}
	for got, want := range map[string]string{
		a.insteadOf("mtls require shop --clients"): "oarlock -f shop --dialect 1.4 mtls require shop --clients",
		a.again("shop", "shops"):                   "oarlock -f shop --dialect 1.4 mtls require shops --dry-run",
		a.again("", "--yes"):                       "oarlock -f shop --dialect 1.4 mtls require shop --dry-run --yes",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	// Every flag that takes a value is known to the hints.
	root := a.rootCommand()
	for _, name := range []string{"filename", "mesh", "kubeconfig", "context", "namespace", "output", "dialect", "color", "fail-on", "timeout"} {
		f := root.PersistentFlags().Lookup(name)
		words := []string{"--" + name}
		if f.Shorthand != "" {
			words = append(words, "-"+f.Shorthand)
		}
		for _, w := range words {
			if b := (&app{args: []string{w, "x"}}); !b.flagValue(1) {
				t.Errorf("%s takes a value", w)
			}
		}
	}
	a = &app{args: []string{"mtls", "require", "mtls", "-f", "mtls"}}
	if got, want := a.insteadOf("mtls unset mtls"), "oarlock mtls unset mtls -f mtls"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
