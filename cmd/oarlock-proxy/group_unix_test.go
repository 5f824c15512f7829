//go:build unix

package main

import "syscall"

// ownGroup puts a process and its children in a group of their own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks the group of a process to end.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }
