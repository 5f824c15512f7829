package bootstrap

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConcurrencyIsKept: none, all and a number of processors are three things, and stay so in the file.
func TestConcurrencyIsKept(t *testing.T) {
	number := func(n int) *int { return &n }
	for _, want := range []*int{nil, number(0), number(1), number(16)} {
		path := filepath.Join(t.TempDir(), "bootstrap.json")
		text, err := json.Marshal(File{Version: Version, XDS: &XDS{Address: "unix:x"}, Concurrency: want})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		switch {
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case (got.Concurrency == nil) != (want == nil), want != nil && *got.Concurrency != *want:
			t.Errorf("%s: concurrency %v", text, got.Concurrency)
		case strings.Contains(string(text), "concurrency") != (want != nil):
			t.Errorf("written as %s", text)
		}
	}
	path := filepath.Join(t.TempDir(), "bootstrap.json")
	if err := os.WriteFile(path, []byte(`{"version": 1, "concurency": 2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "concurency") {
		t.Errorf("a misspelt field: %v", err)
	}
}
