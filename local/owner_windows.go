package local

import "io/fs"

// ownedByUs says whether a file is this user's. Windows keeps that in access lists, which folders of the profile have.
func ownedByUs(fs.FileInfo) bool { return true }

// PrivateFiles is for systems with modes of files.
func PrivateFiles() {}
