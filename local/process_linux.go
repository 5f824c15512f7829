package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawner starts processes, all from one operating system thread that lives as long as it does.
//
// Pdeathsig is sent when the *thread* that started a child ends, and Go ends threads as it likes: started from any
// goroutine, a child would die in the middle of its life. Locked to a thread that never ends, it dies with this process
// and not before.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}

	mu    sync.Mutex
	known map[int]bool // children that somebody waits for
}

type spawnRequest struct {
	cmd   *exec.Cmd
	start func(*exec.Cmd) error // nil: cmd.Start
	err   chan error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{}), known: map[int]bool{}}
	go s.run()
	return s
}

func (s *spawner) run() {
	defer close(s.done)
	runtime.LockOSThread() // and never unlocked
	reap := time.NewTicker(time.Second)
	defer reap.Stop()
	for {
		select {
		case r, ok := <-s.requests:
			if !ok {
				return
			}
			r.err <- s.start(r)
		case <-reap.C:
			s.reapAdopted()
		}
	}
}

func (s *spawner) start(r spawnRequest) error {
	start := (*exec.Cmd).Start
	if r.start != nil {
		start = r.start
	}
	err := start(r.cmd)
	if err == nil {
		s.mu.Lock()
		s.known[r.cmd.Process.Pid] = true
		s.mu.Unlock()
	}
	return err
}

// reapAdopted waits for children that this process did not start: as the subreaper it inherits those whose parent ended.
// It runs where processes are started, so none is between its start and its place among the known.
func (s *spawner) reapAdopted() {
	if !someEnded() {
		return
	}
	for _, pid := range children() {
		s.mu.Lock()
		ours := s.known[pid]
		s.mu.Unlock()
		if !ours {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// someEnded says whether there is any child that has ended and that nobody has waited for yet. It is asked once a second,
// and looking through all processes of the machine for children is dear where there are many.
func someEnded() bool {
	var found unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &found, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && found.Signo != 0
}

// close ends the thread. Every process must have ended: those that have not are killed by the kernel.
func (s *spawner) close() {
	close(s.requests)
	<-s.done
}

// launch is what to start.
type launch struct {
	argv []string
	env  []string
	dir  string
	log  string // file for both outputs; "" where files are given
	// files are stdin, stdout and stderr of a command that is not logged.
	files [3]*os.File
	// start starts it in other surroundings, from a thread that lives as long; nil is (*exec.Cmd).Start.
	start func(*exec.Cmd) error
}

// process is one that runs or ran, in a process group of its own.
type process struct {
	id      processID
	cmd     *exec.Cmd
	started time.Time
	done    chan struct{} // closed when it and its group are gone
	// Set before done is closed.
	code int    // exit status, 128+N of signal N
	how  string // "exited with status 1", "was killed by signal 9"

	mu   sync.Mutex
	gone bool // its number may be another's
}

func (s *spawner) spawn(l launch) (*process, error) {
	if len(l.argv) == 0 {
		return nil, errors.New("start process: no command")
	}
	cmd := exec.Command(l.argv[0], l.argv[1:]...)
	cmd.Env, cmd.Dir = l.env, l.dir
	if err := findProgram(cmd, l.env); err != nil {
		return nil, fmt.Errorf("start %s: %w", l.argv[0], err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if l.log != "" {
		f, err := openLog(l.log)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.Stdout, cmd.Stderr = f, f
	} else {
		attach(cmd, l.files)
	}
	return s.begin(cmd, l.start)
}

// begin starts a command and waits for its end.
func (s *spawner) begin(cmd *exec.Cmd, start func(*exec.Cmd) error) (*process, error) {
	r := spawnRequest{cmd: cmd, start: start, err: make(chan error, 1)}
	s.requests <- r
	if err := <-r.err; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	p := &process{id: identify(cmd.Process.Pid), cmd: cmd, started: time.Now(), done: make(chan struct{})}
	p.id.PID = cmd.Process.Pid
	go p.wait(s)
	return p, nil
}

func attach(cmd *exec.Cmd, files [3]*os.File) {
	if files[0] != nil {
		cmd.Stdin = files[0]
	}
	if files[1] != nil {
		cmd.Stdout = files[1]
	}
	if files[2] != nil {
		cmd.Stderr = files[2]
	}
}

// findProgram looks for a command without a slash in the PATH that the process will have, not in ours.
func findProgram(cmd *exec.Cmd, env []string) error {
	name := cmd.Args[0]
	if filepath.Base(name) != name {
		if !filepath.IsAbs(name) && cmd.Dir != "" {
			name = filepath.Join(cmd.Dir, name)
		}
		cmd.Path, cmd.Err = name, nil
		return nil
	}
	for _, dir := range filepath.SplitList(lookup(env, "PATH")) {
		file := filepath.Join(dir, name)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			cmd.Path, cmd.Err = file, nil
			return nil
		}
	}
	return errors.New("no such program in PATH")
}

func (p *process) wait(s *spawner) {
	// Look without reaping: the zombie holds its number, so that the rest of the group can be killed and nobody else.
	for {
		err := unix.Waitid(unix.P_PID, p.id.PID, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	_ = unix.Kill(-p.id.PID, unix.SIGKILL)
	_ = p.cmd.Wait()
	p.gone = true
	p.mu.Unlock()
	s.mu.Lock()
	delete(s.known, p.id.PID)
	s.mu.Unlock()
	p.code, p.how = exitOf(p.cmd.ProcessState)
	close(p.done)
}

func exitOf(st *os.ProcessState) (int, string) {
	ws, ok := st.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal()), fmt.Sprintf("was killed by signal %d", ws.Signal())
	}
	return st.ExitCode(), fmt.Sprintf("exited with status %d", st.ExitCode())
}

// signal reaches the whole group, unless it is gone.
func (p *process) signal(sig unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = unix.Kill(-p.id.PID, sig)
	}
}

// stop asks the process to end, and ends it when the grace is over. It returns when it is gone.
func (p *process) stop(grace time.Duration) {
	p.signal(unix.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
		return
	case <-t.C:
	}
	p.signal(unix.SIGKILL)
	<-p.done
}
