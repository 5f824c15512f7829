//go:build unix && !linux

package proxy

import "golang.org/x/sys/unix"

// Other systems do not tell the end of the other side's half from bytes to read.
const (
	pollEvents = unix.POLLIN
	pollEnded  = 0
)
