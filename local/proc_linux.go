package local

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// markVariable is in the environment of every process of a run; its value is of no other run.
const markVariable = "OARLOCK_RUN"

// podVariable names the pod in the environment of its processes.
const podVariable = "OARLOCK_POD"

// identify gives the identity of a process that runs, or the zero value.
func identify(pid int) processID {
	start, _ := startTime(pid)
	if start == 0 {
		return processID{}
	}
	return processID{PID: pid, Start: start, Boot: bootID()}
}

// alive says whether the very process runs still: the number alone may be another's by now.
func (id processID) alive() bool {
	if id.PID <= 0 || id.Boot != bootID() {
		return false
	}
	start, zombie := startTime(id.PID)
	return start == id.Start && !zombie
}

// kill sends a signal to the process if it is the one that was meant.
func (id processID) kill(sig unix.Signal) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		if errors.Is(err, unix.ENOSYS) && id.alive() {
			_ = unix.Kill(id.PID, sig)
		}
		return
	}
	defer unix.Close(fd)
	if id.alive() { // asked while the descriptor holds the process: it cannot become another in between
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// startTime reads field 22 of /proc/PID/stat, in ticks since boot; 0 where there is no such process.
func startTime(pid int) (start uint64, zombie bool) {
	f := statFields(pid)
	if len(f) < 20 {
		return 0, false
	}
	start, _ = strconv.ParseUint(f[19], 10, 64)
	return start, f[0] == "Z"
}

// statFields gives the fields of /proc/PID/stat from the third on: what comes before may have spaces and parentheses.
func statFields(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	i := bytes.LastIndexByte(b, ')')
	return strings.Fields(string(b[i+1:]))
}

// withMark lists the processes of this user that have NAME=VALUE in their environment, this one left out.
func withMark(name, value string) []processID {
	var out []processID
	want := []byte(name + "=" + value)
	for _, pid := range pids() {
		if pid == os.Getpid() {
			continue
		}
		for v := range bytes.SplitSeq(environOf(pid), []byte{0}) {
			if bytes.Equal(v, want) {
				if id := identify(pid); id.PID != 0 {
					out = append(out, id)
				}
				break
			}
		}
	}
	return out
}

// environOf reads the environment of a process; it is empty where there is none, and where it is not for us to see. In the
// middle of execve a process shows none either, until its program is loaded: then it is looked at again.
func environOf(pid int) []byte {
	for deadline := time.Now().Add(killBound); ; time.Sleep(time.Millisecond) {
		b, err := readAtOnce(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil || len(b) > 0 || withoutEnviron(statFields(pid)) || time.Now().After(deadline) {
			return b
		}
	}
}

// readAtOnce reads a file in one call. What is read of an environment in several ends early where execve comes between.
func readAtOnce(name string) ([]byte, error) {
	for size := 8 << 10; ; size *= 2 {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		b := make([]byte, size)
		n, err := f.Read(b)
		f.Close()
		switch {
		case err != nil && err != io.EOF:
			return nil, err
		case n < size:
			return b[:n], nil
		}
	}
}

// withoutEnviron says of the fields of a process that it has no memory, or a program that was loaded with no environment.
func withoutEnviron(f []string) bool {
	const memory, code, begin, end = 20, 23, 47, 48
	return len(f) <= end || f[memory] == "0" || f[code] != "0" && f[begin] == f[end]
}

func pids() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// killMarked kills what has the mark until nothing has it; a process may fork while we look. It gives up what does not end.
func killMarked(name, value string) { killMarkedUntil(time.Now().Add(killBound), name, value) }

// killMarkedUntil kills once at least: a look at all processes may take longer than there is time.
func killMarkedUntil(deadline time.Time, name, value string) {
	for {
		list := withMark(name, value)
		for _, id := range list {
			id.kill(unix.SIGKILL)
		}
		if len(list) == 0 || time.Now().After(deadline) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// children lists the processes whose parent is this one.
func children() []int {
	var out []int
	self := strconv.Itoa(os.Getpid())
	for _, pid := range pids() {
		if f := statFields(pid); len(f) > 1 && f[1] == self {
			out = append(out, pid)
		}
	}
	return out
}

// waitGone waits until the process ended, or the time is over.
func waitGone(id processID, bound time.Duration) bool {
	for deadline := time.Now().Add(bound); id.alive(); {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}
