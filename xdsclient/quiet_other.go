//go:build !linux

package xdsclient

import (
	"context"
	"net"
)

// dialQuiet connects to a unix socket.
func dialQuiet(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}
