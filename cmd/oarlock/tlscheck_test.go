package main

import (
	"bufio"
	"io"
	"testing"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// TestEmptyHostHasNoRow is LV93 past the reader of manifests, which may refuse such an entry.
func TestEmptyHostHasNoRow(t *testing.T) {
	s := &mesh.Snapshot{Dialect: mesh.Dialect13, Config: mesh.DefaultConfig()}
	for _, host := range []string{"", "a.example.com"} {
		s.Services = append(s.Services, &mesh.Service{
			Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindServiceEntry, Namespace: "bar", Name: "entry"}}, Hostname: host,
			External: true, Resolution: mesh.ResolutionDNS, Ports: []mesh.Port{{Name: "http", Number: 80, Declared: "HTTP"}},
		})
	}
	for _, compat := range []bool{false, true} {
		c := &tlsCheck{app: &app{stdout: bufio.NewWriter(io.Discard)}, mesh: &loaded{snap: s, resolver: resolve.New(s)}, compat: compat}
		rows := c.rows(resolve.Client{})
		if len(rows) != 1 || rows[0].host != "a.example.com" {
			t.Errorf("compat %v: rows %+v, want that of a.example.com alone", compat, rows)
		}
	}
}

func TestFailOn(t *testing.T) {
	for _, c := range []struct {
		failOn string
		status resolve.Status
		want   bool
	}{
		{"error", resolve.StatusConflict, true},
		{"conflict", resolve.StatusConflict, true},
		{"warning", resolve.StatusConflict, true},
		{"never", resolve.StatusConflict, false},
		{"error", resolve.StatusMayConflict, false},
		{"conflict", resolve.StatusMayConflict, false},
		{"warning", resolve.StatusMayConflict, true},
		{"warning", resolve.StatusNotCaptured, false},
		{"warning", resolve.StatusOK, false},
		{"error", resolve.StatusAuto, false},
	} {
		a := &app{flags: flags{failOn: choice{value: c.failOn}}}
		if got := a.fails(c.status); got != c.want {
			t.Errorf("--fail-on %s with %s: %v, want %v", c.failOn, c.status, got, c.want)
		}
	}
}
