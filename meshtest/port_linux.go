package meshtest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Port gives a port of 127.0.0.1 on which nobody listens and which nobody else is given until the test ends. The test may
// listen on it.
func Port(t testing.TB) int {
	t.Helper()
	// A socket that is bound and does not listen: the kernel gives its port to nobody, and lets those have it who ask for it.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at.(*unix.SockaddrInet4).Port
}
