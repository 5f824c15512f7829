package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outsideEnv names the descriptor of the socket to the OutsideServer.
const outsideEnv = "OARLOCK_OUTSIDE_FD"

const (
	// outsideDialTimeout bounds a connection attempt that has no deadline of its own.
	outsideDialTimeout = 30 * time.Second
	// maxOutside is how many requests the server works on at a time; more wait.
	maxOutside = 256
	// maxOutsideMessage is the size of a request or an answer.
	maxOutsideMessage = 4096
)

type outsideRequest struct {
	ID      uint64        `json:"id"`
	Op      string        `json:"op"` // dial, listen
	Network string        `json:"network"`
	Address string        `json:"address"`
	Timeout time.Duration `json:"timeout"`
}

type outsideAnswer struct {
	ID    uint64 `json:"id"`
	Error string `json:"error,omitempty"`
	// Errno keeps the cause comparable (errors.Is) across the socket; 0 is none.
	Errno syscall.Errno `json:"errno,omitempty"`
}

// An OutsideServer opens sockets on the machine's own network for a child that lives in a Fabric and cannot: without
// root nobody gets back into the network namespace that he left. It runs in the parent and hands over descriptors.
type OutsideServer struct {
	conn  *net.UnixConn
	child *os.File
	log   *slog.Logger
}

// NewOutsideServer makes a server for one child. Give it to the child by Attach, then Serve.
func NewOutsideServer(log *slog.Logger) (*OutsideServer, error) {
	// Messages keep their bounds, and the other end sees the end of this one, also after SIGKILL.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket to the fabric: %w", err)
	}
	child := os.NewFile(uintptr(fds[1]), "outside")
	conn, err := unixConn(fds[0])
	if err != nil {
		child.Close()
		return nil, fmt.Errorf("make socket to the fabric: %w", err)
	}
	return &OutsideServer{conn: conn, child: child, log: log}, nil
}

// unixConn takes the descriptor over.
func unixConn(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "outside")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a unix socket")
	}
	return u, nil
}

// Attach gives a command, which has not started, its end of the socket; there NewOutside finds it.
func (s *OutsideServer) Attach(cmd *exec.Cmd) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, s.child)
	cmd.Env = append(cmd.Env, outsideEnv+"="+strconv.Itoa(2+len(cmd.ExtraFiles)))
}

// Serve answers until the child has closed its end (nil) or ctx ends. Call it after the child has started. It closes the
// server; connections and listeners that were handed over stay.
func (s *OutsideServer) Serve(ctx context.Context) error {
	s.child.Close() // or the end of the child would not be seen
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	var working sync.WaitGroup
	defer func() { stop(); cancel(); working.Wait(); s.conn.Close() }()
	slots := make(chan struct{}, maxOutside)
	buf := make([]byte, maxOutsideMessage)
	for {
		n, err := s.conn.Read(buf)
		if err != nil || n == 0 {
			return ctx.Err()
		}
		var req outsideRequest
		if err := json.Unmarshal(buf[:n], &req); err != nil {
			return fmt.Errorf("read request of the fabric: %w", err)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		working.Go(func() {
			s.answer(ctx, req)
			<-slots
		})
	}
}

// Close ends a server that never served.
func (s *OutsideServer) Close() error { return errors.Join(s.child.Close(), s.conn.Close()) }

func (s *OutsideServer) answer(ctx context.Context, req outsideRequest) {
	f, err := openOutside(ctx, req)
	a := outsideAnswer{ID: req.ID}
	var rights []byte
	if err != nil {
		a.Error = err.Error()
		errors.As(err, &a.Errno)
	} else {
		defer f.Close()
		rights = unix.UnixRights(int(f.Fd()))
	}
	msg, err := json.Marshal(a)
	if err == nil {
		_, _, err = s.conn.WriteMsgUnix(msg, rights, nil)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("answer fabric", "op", req.Op, "address", req.Address, "error", err)
	}
}

// openOutside opens what is asked for and gives a descriptor of it, in blocking mode.
func openOutside(ctx context.Context, req outsideRequest) (*os.File, error) {
	switch req.Op {
	case "dial":
		ctx, cancel := context.WithTimeout(ctx, req.Timeout)
		defer cancel()
		c, err := (&net.Dialer{}).DialContext(ctx, req.Network, req.Address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return fileOf(c)
	case "listen":
		l, err := (&net.ListenConfig{}).Listen(ctx, req.Network, req.Address)
		if err != nil {
			return nil, err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // it lives on at the other end
		}
		defer l.Close()
		return fileOf(l)
	}
	return nil, fmt.Errorf("unknown request %q", req.Op)
}

func fileOf(c any) (*os.File, error) {
	filer, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("socket %T has no descriptor", c)
	}
	return filer.File()
}

// Outside is the machine's own network, seen from a process that lives in a Fabric. It is safe for use by many.
type Outside struct {
	conn *net.UnixConn
	done chan struct{} // the reader has ended
	gone context.Context

	mu      sync.Mutex // guards the fields below
	last    uint64
	waiting map[uint64]chan outsideResult
	ended   bool
}

type outsideResult struct {
	answer outsideAnswer
	file   *os.File // nil if answer.Error says why
}

// NewOutside is called once, in a process that was started with OutsideServer.Attach; in any other it is an error.
func NewOutside() (*Outside, error) {
	fd, err := strconv.Atoi(os.Getenv(outsideEnv))
	if err != nil {
		return nil, fmt.Errorf("find the outside: %s is not set", outsideEnv)
	}
	os.Unsetenv(outsideEnv) // the number means nothing to children
	conn, err := unixConn(fd)
	if err != nil {
		return nil, fmt.Errorf("find the outside: %w", err)
	}
	return newOutside(conn), nil
}

func newOutside(conn *net.UnixConn) *Outside {
	gone, cancel := context.WithCancel(context.Background())
	o := &Outside{conn: conn, done: make(chan struct{}), gone: gone, waiting: map[uint64]chan outsideResult{}}
	go o.read(cancel)
	return o
}

// Gone ends with the process outside: a fabric without it should end too.
func (o *Outside) Gone() <-chan struct{} { return o.gone.Done() }

// Close drops the socket. Connections and listeners stay.
func (o *Outside) Close() error {
	err := o.conn.Close()
	<-o.done
	return err
}

// read hands answers to those who wait for them, until the socket ends.
func (o *Outside) read(cancel func()) {
	defer close(o.done)
	defer cancel()
	buf, rights := make([]byte, maxOutsideMessage), make([]byte, unix.CmsgSpace(4))
	for {
		n, rn, _, _, err := o.conn.ReadMsgUnix(buf, rights)
		if err != nil || n == 0 {
			break
		}
		r := outsideResult{file: receivedFile(rights[:rn])}
		if json.Unmarshal(buf[:n], &r.answer) != nil {
			r.drop()
			break
		}
		o.deliver(r)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	for id, ch := range o.waiting {
		close(ch)
		delete(o.waiting, id)
	}
}

func (o *Outside) deliver(r outsideResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch, ok := o.waiting[r.answer.ID]
	delete(o.waiting, r.answer.ID)
	if !ok {
		r.drop() // he has stopped waiting
		return
	}
	ch <- r // has room for the one answer
}

func (r outsideResult) drop() {
	if r.file != nil {
		r.file.Close()
	}
}

func receivedFile(rights []byte) *os.File {
	msgs, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(msgs) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "outside")
}

// Dial connects on the machine's own network: tcp, udp, unix. The error wraps the system's (ECONNREFUSED...).
func (o *Outside) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	f, err := o.ask(ctx, outsideRequest{Op: "dial", Network: network, Address: address})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileConn(f)
}

// Listen listens on the machine's own network: tcp, unix.
func (o *Outside) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	f, err := o.ask(ctx, outsideRequest{Op: "listen", Network: network, Address: address})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

func (o *Outside) ask(ctx context.Context, req outsideRequest) (*os.File, error) {
	req.Timeout = outsideDialTimeout
	if deadline, ok := ctx.Deadline(); ok {
		req.Timeout = min(req.Timeout, time.Until(deadline))
	}
	r, err := o.exchange(ctx, req)
	switch {
	case err != nil:
	case r.answer.Errno != 0:
		err = r.answer.Errno
	case r.answer.Error != "":
		err = errors.New(r.answer.Error)
	case r.file == nil:
		err = errors.New("no descriptor came")
	default:
		return r.file, nil
	}
	r.drop()
	return nil, fmt.Errorf("%s %s outside: %w", req.Op, req.Address, err)
}

func (o *Outside) exchange(ctx context.Context, req outsideRequest) (outsideResult, error) {
	ch := make(chan outsideResult, 1)
	o.mu.Lock()
	if o.ended {
		o.mu.Unlock()
		return outsideResult{}, net.ErrClosed
	}
	o.last++
	req.ID = o.last
	o.waiting[req.ID] = ch
	o.mu.Unlock()
	msg, err := json.Marshal(req)
	if err == nil {
		_, err = o.conn.Write(msg)
	}
	if err != nil {
		o.forget(req.ID, ch)
		return outsideResult{}, err
	}
	select {
	case r, ok := <-ch:
		if !ok {
			return outsideResult{}, net.ErrClosed
		}
		return r, nil
	case <-ctx.Done():
		o.forget(req.ID, ch)
		return outsideResult{}, ctx.Err()
	}
}

// forget stops waiting; an answer that came meanwhile is dropped.
func (o *Outside) forget(id uint64, ch chan outsideResult) {
	o.mu.Lock()
	delete(o.waiting, id)
	o.mu.Unlock()
	select {
	case r := <-ch:
		r.drop()
	default:
	}
}
