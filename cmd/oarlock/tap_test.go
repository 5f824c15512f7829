package main

import (
	"testing"

	"github.com/oarlock/oarlock/api"
)

// TestTapWithoutTime: a format of the log that has no time makes no midnight.
func TestTapWithoutTime(t *testing.T) {
	l := &api.LogLine{Pod: "web-1", Namespace: "shop", Code: 200, Method: "GET", Path: "/"}
	if got, want := tapLine(l, "mTLS"), "-            200       0ms mTLS      web-1.shop  GET /"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
