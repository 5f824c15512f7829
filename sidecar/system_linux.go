package sidecar

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

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

// useAlarm rings each time that the process has taken some more processor time, so that an idle one is never woken to be
// asked how idle it is.
type useAlarm struct {
	c  chan os.Signal
	id int32 // the kernel's
}

// sigevent is struct sigevent, with room for the 64 bytes that the kernel reads whatever the size of a pointer.
type sigevent struct {
	value  uintptr
	signal int32
	notify int32 // 0 is a signal to the process
	_      [52]byte
}

// newUseAlarm makes an alarm that rings after each d of processor time.
func newUseAlarm(d time.Duration) (*useAlarm, error) {
	a := &useAlarm{c: make(chan os.Signal, 1)}
	signal.Notify(a.c, unix.SIGVTALRM) // which nobody else uses, and which ends a process that does not expect it
	event := sigevent{signal: int32(unix.SIGVTALRM)}
	_, _, fail := syscall.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_PROCESS_CPUTIME_ID, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&a.id)))
	if fail != 0 {
		signal.Ignore(unix.SIGVTALRM)
		return nil, fmt.Errorf("make alarm for processor time: %w", fail)
	}
	a.every(d)
	return a, nil
}

// every sets after how much processor time the alarm rings; 0 never.
func (a *useAlarm) every(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	spec := unix.ItimerSpec{Interval: t, Value: t}
	syscall.Syscall6(unix.SYS_TIMER_SETTIME, uintptr(a.id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// close ends it. A signal that is under way still is ignored.
func (a *useAlarm) close() {
	syscall.Syscall(unix.SYS_TIMER_DELETE, uintptr(a.id), 0, 0)
	signal.Ignore(unix.SIGVTALRM)
}

// timeTaken is the processor time of the process until now.
func timeTaken() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
