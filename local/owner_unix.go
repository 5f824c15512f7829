//go:build unix

package local

import (
	"io/fs"
	"os"
	"syscall"
)

// ownedByUs says whether a file is this user's.
func ownedByUs(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Getuid()
}

// PrivateFiles makes what this process creates from now on readable by this user alone, whatever the mode that libraries ask for. It is
// for processes that start none.
func PrivateFiles() { syscall.Umask(0o077) }
