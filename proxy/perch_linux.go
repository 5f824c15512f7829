package proxy

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A perch is where an accepted connection waits for its first bytes: a descriptor that the runtime's poller knows already and
// that becomes readable when the connection does. Many connections bring one request and end, and most of those wait once,
// for a moment. Making each known to the poller itself costs four system calls, and two of them, telling the scheduler of
// themselves, wake the runtime's monitor.
type perch struct {
	file *os.File // of a set of epoll, in which the connection is alone
	raw  syscall.RawConn
	set  int
	call func(fd uintptr) bool

	sock  int                   // of who waits
	try   func(fd uintptr) bool // what it waits to do
	on    bool                  // it is in the set
	until time.Time             // the deadline in force; guarded by the connection's lock
	fail  syscall.Errno         // of putting it there
}

// perches are those that nobody uses. The collector closes those too many.
var perches = sync.Pool{New: newPerch}

// maxPerched bounds the descriptors that connections of a door take in addition, should they come and never say anything.
const maxPerched = 256

func newPerch() any {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return (*perch)(nil)
	}
	unix.SetNonblock(set, true) // else the poller does not take it
	p := &perch{file: os.NewFile(uintptr(set), "perch"), set: set}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetDeadline(time.Time{}) // which fails where the poller did not take it
	}
	if err != nil {
		p.file.Close()
		return (*perch)(nil)
	}
	p.call = p.wait
	return p
}

// wait puts the connection into the set when it is called first, and from then on tries.
func (p *perch) wait(uintptr) bool {
	if p.on {
		return p.try(uintptr(p.sock))
	}
	p.fail = p.control(unix.EPOLL_CTL_ADD)
	p.on = p.fail == 0
	return !p.on
}

func (p *perch) control(op uintptr) syscall.Errno {
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP}
	_, _, fail := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.set), op, uintptr(p.sock), uintptr(unsafe.Pointer(&e)), 0, 0)
	return fail
}

// perched waits until try is done or there is an error, without telling the poller of the connection; neither where there is no
// perch for it. The caller holds s.
func (s *acceptedConn) perched(try func(fd uintptr) bool) (done bool, err error) {
	if s.perches == nil {
		return false, nil
	}
	if s.perches.Add(1) <= maxPerched {
		if p := perches.Get().(*perch); p != nil {
			if s.sit(p) {
				done, err = s.await(p, try)
			}
			perches.Put(p)
		}
	}
	s.perches.Add(-1)
	return done, err
}

func (s *acceptedConn) await(p *perch, try func(fd uintptr) bool) (done bool, err error) {
	p.sock, p.try = s.fd, try
	err = p.raw.Read(p.call)
	s.rise()
	done = p.fail == 0
	if p.on {
		p.control(unix.EPOLL_CTL_DEL)
	}
	p.try, p.on, p.fail = nil, false, 0
	if err != nil {
		return false, s.failed("read", err)
	}
	return done, nil
}

// sit takes a place on a perch: once in a connection's life, as one that waits again is likely to go on doing so.
func (s *acceptedConn) sit(p *perch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sat || s.use.Load() < 0 {
		return false
	}
	s.sat, s.perch = true, p
	s.wake(s.readUntil)
	return true
}

// rise leaves it. The deadline stays until the next one sits there.
func (s *acceptedConn) rise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perch = nil
}

// wake sets when who waits on a perch stops to; the lock is held.
func (s *acceptedConn) wake(at time.Time) {
	if s.perch != nil && !at.Equal(s.perch.until) {
		s.perch.until = at
		s.perch.file.SetReadDeadline(at)
	}
}
