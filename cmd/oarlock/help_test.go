package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestHelpFits: help is read in a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	for _, args := range []string{"", "tls-check", "authn", "explain", "mtls", "mtls get", "mtls list", "mtls allow", "mtls require",
		"mtls disable", "mtls unset", "edges", "graph", "ca", "ca token", "serve", "proxy-status", "test", "demo-app", "version", "completion"} {
		var out, problems bytes.Buffer
		code := run(t.Context(), append(strings.Fields(args), "--help"), strings.NewReader(""), &out, &problems)
		if code != 0 || out.Len() == 0 || problems.Len() > 0 {
			t.Errorf("%s --help: status %d, %s", args, code, &problems)
		}
		for line := range strings.Lines(out.String()) {
			if len(line) > 81 {
				t.Errorf("%s --help: %d columns: %s", args, len(line)-1, line)
			}
		}
	}
}
