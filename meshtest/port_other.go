//go:build !linux

package meshtest

import (
	"net"
	"testing"
)

// Port gives a port of 127.0.0.1 on which nobody listens.
func Port(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
