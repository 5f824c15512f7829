package meshtest

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPort: the port is nobody's, not even that of somebody who connects, until the test itself listens there.
func TestPort(t *testing.T) {
	port := Port(t)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("somebody is there: %v", err)
	}
	const localPortRange = 51 // IP_LOCAL_PORT_RANGE, of Linux 6.3
	noOther := func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, localPortRange, port<<16|port) })
		return errors.Join(cerr, err)
	}
	if l, err := (&net.ListenConfig{Control: noOther}).Listen(t.Context(), "tcp4", "127.0.0.1:0"); err == nil {
		t.Errorf("%s is given to a server", l.Addr())
		l.Close()
	}
	there, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if c, err := (&net.Dialer{Control: noOther}).Dial("tcp4", there.Addr().String()); err == nil {
		t.Errorf("%s is given to a client", c.LocalAddr())
		c.Close()
	}
	for range 2 {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}
