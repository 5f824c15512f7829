//go:build !linux

package sidecar

import (
	"errors"
	"net"
	"syscall"
)

// listenUnix makes the socket; its mode is set right after.
func listenUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }

// peerOf does not know who is at the other end.
func peerOf(net.Conn) (uid, pid int) { return -1, -1 }

// markControl refuses a mark, which only Linux has.
func markControl(mark int) func(network, address string, c syscall.RawConn) error {
	if mark == 0 {
		return nil
	}
	return func(string, string, syscall.RawConn) error { return errors.New("capture.mark needs Linux") }
}
