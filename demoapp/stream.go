package demoapp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// tcpServer echoes what it reads, over TCP or TLS, and counts the lines in it.
type tcpServer struct {
	app    *App
	listen Listen
	ln     net.Listener

	ctx  context.Context // ends when what is left is cut off
	cut  context.CancelFunc
	open sync.WaitGroup

	mu       sync.Mutex // guards what follows
	conns    map[net.Conn]bool
	draining bool
}

func newTCPServer(a *App, l Listen, ln net.Listener) *tcpServer {
	s := &tcpServer{app: a, listen: l, ln: ln, conns: map[net.Conn]bool{}}
	s.ctx, s.cut = context.WithCancel(context.Background())
	return s
}

func (s *tcpServer) addr() net.Addr { return s.ln.Addr() }

func (s *tcpServer) serve() error {
	for pause := time.Millisecond; ; {
		conn, err := s.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // out of file descriptors, say
			s.app.cfg.Log.Warn("accept", "listener", s.listen.String(), "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		if s.take(conn) {
			s.open.Go(func() { s.echo(conn) })
		}
	}
}

func (s *tcpServer) take(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		conn.Close()
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *tcpServer) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	conn.Close()
}

// quiet is how long a connection must have nothing to say to be closed when the server drains.
const quiet = 200 * time.Millisecond

func (s *tcpServer) drain(ctx context.Context) {
	s.ln.Close()
	s.mu.Lock()
	s.draining = true
	for conn := range s.conns {
		_ = conn.SetReadDeadline(time.Now().Add(quiet)) // closed already: then it is done
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		s.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.cutOff()
		<-ended
	}
	s.cut()
}

func (s *tcpServer) cutOff() {
	s.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

// echo serves one connection.
func (s *tcpServer) echo(conn net.Conn) {
	defer s.drop(conn)
	buf := make([]byte, 32<<10)
	for {
		n, err := conn.Read(buf)
		lines := bytes.Count(buf[:n], []byte("\n"))
		if n > 0 && !s.answer(conn, buf[:n], lines) {
			return
		}
		if err != nil {
			return
		}
	}
}

// answer sends back what was read, and says whether the connection goes on.
func (s *tcpServer) answer(conn net.Conn, text []byte, lines int) bool {
	result, ok := "echo", true
	if !s.app.dawdle(s.ctx) || s.app.misfortune() {
		result, ok = "error", false
	} else if _, err := conn.Write(text); err != nil {
		result, ok = "error", false
	}
	for range lines {
		s.app.counters.receive(s.listen, result, ok)
	}
	return ok
}

// maxDatagram is the most that UDP carries over IPv4.
const maxDatagram = 65507

// maxDatagrams bounds those that wait for their answer.
const maxDatagrams = 256

// udpServer sends datagrams back.
type udpServer struct {
	app    *App
	listen Listen
	conn   net.PacketConn

	ctx  context.Context // ends when what is left is cut off
	cut  context.CancelFunc
	open sync.WaitGroup
}

func newUDPServer(a *App, l Listen, conn net.PacketConn) *udpServer {
	s := &udpServer{app: a, listen: l, conn: conn}
	s.ctx, s.cut = context.WithCancel(context.Background())
	return s
}

func (s *udpServer) addr() net.Addr { return s.conn.LocalAddr() }

func (s *udpServer) serve() error {
	free := make(chan struct{}, maxDatagrams)
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		var ne net.Error
		switch {
		case errors.Is(err, net.ErrClosed), errors.As(err, &ne) && ne.Timeout():
			return nil
		case err != nil: // an ICMP message about an earlier answer
			continue
		}
		text := bytes.Clone(buf[:n])
		free <- struct{}{}
		s.open.Go(func() {
			defer func() { <-free }()
			s.answer(text, from)
		})
	}
}

func (s *udpServer) answer(text []byte, from net.Addr) {
	ok := s.app.dawdle(s.ctx) && !s.app.misfortune()
	if ok {
		_, err := s.conn.WriteTo(text, from)
		ok = err == nil
	}
	result := "echo"
	if !ok {
		result = "error"
	}
	s.app.counters.receive(s.listen, result, ok)
}

func (s *udpServer) drain(ctx context.Context) {
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // ends serve
	ended := make(chan struct{})
	go func() {
		s.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	s.cut()
	<-ended
	s.conn.Close()
}
