package proxy

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// awaitData waits until there is something to read from a connection, its end or an error included. It holds nothing
// meanwhile, so that a connection on which nobody says anything costs no buffer. The error is one of the waiting alone.
func awaitData(c tcpConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		now := unix.Timespec{}
		n, _, fail := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		return fail != 0 || n > 0
	})
}
