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
