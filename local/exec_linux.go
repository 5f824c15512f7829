package local

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sys/unix"
)

const (
	maxExecRequest = 1 << 20
	execGrace      = 2 * time.Second
)

func (e *engine) acceptExec(ctx context.Context, s *servers) {
	slots := make(chan struct{}, maxExecs)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c, err := s.exec.AcceptUnix()
		if err != nil {
			<-slots
			if ctx.Err() != nil || !sleep(ctx, 10*time.Millisecond) {
				return
			}
			continue
		}
		s.wait.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			e.serveExec(ctx, c)
		})
	}
}

func (e *engine) serveExec(ctx context.Context, c *net.UnixConn) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	req, files, err := readExec(c)
	defer closeAll(files)
	if err == nil && req.Dial != "" {
		e.serveDial(ctx, c, req.Dial)
		return
	}
	var resp execResponse
	if err == nil {
		_ = c.SetReadDeadline(time.Time{})
		resp.Code, err = e.exec(ctx, c, req, files)
	}
	if err != nil {
		resp.Error = err.Error()
	}
	_ = json.NewEncoder(c).Encode(resp)
}

// exec runs the command until it ends, or until the caller hangs up.
func (e *engine) exec(ctx context.Context, c *net.UnixConn, req *execRequest, files []*os.File) (int, error) {
	p, err := e.find(req.Pod)
	if err != nil {
		return 0, err
	}
	l, err := e.launchExec(p, req)
	if err != nil {
		return 0, err
	}
	copy(l.files[:], files)
	proc, err := e.spawn.spawn(l)
	closeAll(files) // else a reader of the command's output waits for us
	if err != nil {
		return 0, err
	}
	hung := make(chan struct{})
	go func() { // ends when the caller hangs up or, at the latest, when the connection is closed below
		_, _ = io.Copy(io.Discard, c)
		close(hung)
	}()
	select {
	case <-proc.done:
	case <-hung:
		proc.stop(execGrace)
	case <-ctx.Done():
		proc.stop(execGrace)
	}
	_ = c.CloseRead()
	<-hung
	return proc.code, nil
}

// launchExec says how a command runs in a container. In the sidecar's it has none of the variables that lead to front
// doors, and so goes past capture.
func (e *engine) launchExec(p *pod, req *execRequest) (launch, error) {
	r := p.current()
	if r == nil || r.spec.Blocked != "" || r.spec.Failed != "" {
		return launch{}, fmt.Errorf("run command in pod %s/%s: it does not run", p.ref.Namespace, p.ref.Name)
	}
	spec, err := p.container(req.Container)
	if err != nil {
		return launch{}, err
	}
	if spec.Name == mesh.SidecarContainer {
		spec.Dir = filepath.Join(r.spec.Dir, mesh.SidecarContainer)
	}
	own := spec.Env
	for _, n := range []string{"TERM", "COLUMNS", "LINES"} {
		if v := lookup(req.Env, n); v != "" && lookup(own, n) == "" {
			own = append(own[:len(own):len(own)], n+"="+v)
		}
	}
	if spec.Name == mesh.SidecarContainer && req.Certificates != "" {
		spec.Dir = req.Certificates
		own = append(own[:len(own):len(own)], "OARLOCK_CERTS="+req.Certificates)
	}
	l := launch{argv: req.Command, env: e.environ(r, own), dir: spec.Dir}
	if spec.Name != mesh.SidecarContainer {
		l.start = r.starter(false)
	}
	return l, nil
}

// readExec reads a request: its length in four bytes, big endian, with the three files, then JSON.
func readExec(c *net.UnixConn) (*execRequest, []*os.File, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	files, err := receiveFiles(oob[:oobn])
	if err != nil {
		return nil, files, err
	}
	if n != 4 || flags&unix.MSG_CTRUNC != 0 || len(files) != 3 {
		return nil, files, errors.New("read request: want four bytes and three files")
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxExecRequest {
		return nil, files, fmt.Errorf("read request: %d bytes, at most %d", size, maxExecRequest)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, files, fmt.Errorf("read request: %w", err)
	}
	var req execRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, files, fmt.Errorf("read request: %w", err)
	}
	return &req, files, nil
}

func receiveFiles(oob []byte) ([]*os.File, error) {
	var files []*os.File
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

// sendExec sends a request with its files.
func sendExec(c *net.UnixConn, req *execRequest, files [3]*os.File) error {
	body, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	fds := make([]int, 3)
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	if _, _, err := c.WriteMsgUnix(head, unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	if _, err := c.Write(body); err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// exec sends a command with its files and waits for its end. When ctx ends the command is ended too.
func (c *Client) exec(ctx context.Context, pod mesh.Ref, e mesh.Exec) (int, error) {
	if _, err := c.find(ctx, pod); err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	files := [3]*os.File{e.Stdin, e.Stdout, e.Stderr}
	for i := range files {
		if files[i] == nil {
			files[i] = null
		}
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.paths.execSocket(), Net: "unix"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	req := &execRequest{Pod: pod, Container: e.Container, Command: e.Command, Certificates: e.Certificates}
	for _, n := range []string{"TERM", "COLUMNS", "LINES"} {
		if v, ok := os.LookupEnv(n); ok {
			req.Env = append(req.Env, n+"="+v)
		}
	}
	if err := sendExec(conn, req, files); err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseWrite() })
	defer stop()
	var resp execResponse
	if err := json.NewDecoder(conn).Decode(&resp); err != nil {
		return 0, fmt.Errorf("the engine is gone: %w", err)
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case resp.Error != "":
		return 0, errors.New(resp.Error)
	}
	return resp.Code, nil
}
