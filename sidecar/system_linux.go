package sidecar

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenUnix makes the socket with the mode that it is to have, so that there is no moment in which others may open it.
// The mask is of the whole process; what other goroutines create meanwhile is more private than usual.
func listenUnix(path string) (net.Listener, error) {
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	return net.Listen("unix", path)
}

// peerOf gives user and process at the other end of a unix socket, -1 where it is none.
func peerOf(c net.Conn) (uid, pid int) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1, -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1, -1
	}
	uid, pid = -1, -1
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, pid = int(cred.Uid), int(cred.Pid)
		}
	})
	return uid, pid
}

// markControl sets SO_MARK on connections; nil without a mark.
func markControl(mark int) func(network, address string, c syscall.RawConn) error {
	if mark == 0 {
		return nil
	}
	return func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
		if cerr != nil {
			return cerr
		}
		return err
	}
}
