//go:build !linux

package sidecar

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
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

// useAlarm is Linux's.
type useAlarm struct{ c chan os.Signal }

func newUseAlarm(time.Duration) (*useAlarm, error) {
	return nil, errors.New("an alarm for processor time needs Linux")
}

func (*useAlarm) every(time.Duration) {}
func (*useAlarm) close()              {}

func timeTaken() time.Duration { return 0 }
