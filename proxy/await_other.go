//go:build !linux

package proxy

// awaitData is for Linux alone: elsewhere a waiting connection keeps its buffer.
func awaitData(tcpConn) error { return nil }
