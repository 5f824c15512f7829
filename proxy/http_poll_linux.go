package proxy

import "golang.org/x/sys/unix"

// What to ask of poll, and what of its answers says that the other side has ended its half.
const (
	pollEvents = unix.POLLIN | unix.POLLRDHUP
	pollEnded  = unix.POLLRDHUP
)
