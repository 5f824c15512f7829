//go:build !unix

package yamldir

import (
	"context"
	"os"
)

// lockFolder does nothing where folders have no advisory locks.
func lockFolder(_ context.Context, dir string) (*os.File, error) { return os.Open(dir) }

func keepOwner(*os.File, os.FileInfo) {}

func syncFolder(*os.File) error { return nil }

func inode(os.FileInfo) uint64 { return 0 }
