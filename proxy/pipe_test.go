package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/sniff"
)

// A side is one end of a pipe under test: near is the pipe's, far the test's.
type side struct{ near, far net.Conn }

// sides are the kinds of connections that a pipe has on its ends.
func sides(t *testing.T) map[string]func() side {
	pair := NewRoot(t).Issue(t, Leaf{ID: "spiffe://x/y"})
	shake := func(version uint16) side {
		near, far := tcpPair(t)
		s := tls.Server(&recordConn{tcpConn: near}, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version})
		c := tls.Client(far, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		shaken := make(chan error, 1)
		go func() { shaken <- s.Handshake() }()
		if err := errors.Join(c.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		return side{s, c}
	}
	return map[string]func() side{
		"tcp":    func() side { near, far := tcpPair(t); return side{near, far} },
		"tls1.3": func() side { return shake(tls.VersionTLS13) },
		"tls1.2": func() side { return shake(tls.VersionTLS12) },
		"sniffed": func() side {
			near, far := tcpPair(t)
			s := sniff.NewConn(near)
			if _, err := s.Sniff(sniff.Limits{FirstByte: time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			return side{s, far}
		},
	}
}

// run starts a pipe and gives a function that waits for its end.
func run(t *testing.T, p *pipe) (wait func()) {
	t.Helper()
	over := make(chan struct{})
	go func() { defer close(over); p.run() }()
	return func() {
		t.Helper()
		select {
		case <-over:
		case <-time.After(30 * time.Second):
			t.Fatal("the pipe goes on")
		}
	}
}

// Each half ends by itself, whichever comes first, and every byte of both is counted: a server may answer after the end of
// its client's half.
func TestPipeHalves(t *testing.T) {
	meshtest.NoLeaks(t)
	kinds := sides(t)
	for aName, a := range kinds {
		for bName, b := range kinds {
			t.Run(aName+"/"+bName, func(t *testing.T) {
				client, server := a(), b()
				var toldA, toldB atomic.Int64
				p := &pipe{a: client.near, b: server.near, idle: -1, count: func(a, b int64) { toldA.Add(a); toldB.Add(b) }}
				wait := run(t, p)
				io.WriteString(client.far, "question")
				if err := closeWrite(client.far); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(server.far); string(got) != "question" || err != nil {
					t.Fatalf("the server got %q, %v", got, err)
				}
				io.WriteString(server.far, "a late answer")
				closeWrite(server.far)
				if got, err := io.ReadAll(client.far); string(got) != "a late answer" || err != nil {
					t.Fatalf("the client got %q, %v", got, err)
				}
				wait()
				if p.fromA.Load() != 8 || p.fromB.Load() != 13 || toldA.Load() != 8 || toldB.Load() != 13 {
					t.Errorf("counted %d and %d, told %d and %d", p.fromA.Load(), p.fromB.Load(), toldA.Load(), toldB.Load())
				}
				if p.errA != nil || p.errB != nil || p.timedOut.Load() {
					t.Errorf("errors %v, %v", p.errA, p.errB)
				}
			})
		}
	}
}

// A large transfer both ways at once, one reader of which is slow, arrives whole.
func TestPipeLarge(t *testing.T) {
	const size = 4 << 20
	kinds := sides(t)
	block := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	want := sha256.Sum256(block)
	for _, names := range [][2]string{{"tcp", "tcp"}, {"tcp", "tls1.3"}, {"tls1.3", "tls1.2"}} {
		t.Run(names[0]+"/"+names[1], func(t *testing.T) {
			client, server := kinds[names[0]](), kinds[names[1]]()
			p := &pipe{a: client.near, b: server.near, idle: -1}
			wait := run(t, p)
			sums := make(chan [32]byte, 2)
			exchange := func(c net.Conn, pause time.Duration) {
				go func() { c.Write(block); closeWrite(c) }()
				h := sha256.New()
				for buf := make([]byte, 300<<10); ; time.Sleep(pause) {
					n, err := c.Read(buf)
					h.Write(buf[:n])
					if err != nil {
						break
					}
				}
				sums <- [32]byte(h.Sum(nil))
			}
			go exchange(client.far, 0)
			go exchange(server.far, 100*time.Microsecond)
			for range 2 {
				if <-sums != want {
					t.Error("bytes are lost or mixed up")
				}
			}
			wait()
			if p.fromA.Load() != size || p.fromB.Load() != size {
				t.Errorf("counted %d and %d, want %d", p.fromA.Load(), p.fromB.Load(), size)
			}
		})
	}
}

// A side that breaks is blamed, and the other way ends too.
func TestPipeBroken(t *testing.T) {
	kinds := sides(t)
	for name, kind := range kinds {
		for _, who := range []string{"a", "b"} {
			t.Run(name+"/"+who, func(t *testing.T) {
				broken, whole := kind(), kinds["tcp"]()
				p := &pipe{a: broken.near, b: whole.near, idle: -1}
				if who == "b" {
					p.a, p.b = p.b, p.a
				}
				wait := run(t, p)
				io.WriteString(whole.far, "x")
				io.ReadFull(broken.far, make([]byte, 1))
				reset(broken.far)
				wait()
				blamed, other := p.errA, p.errB
				if who == "b" {
					blamed, other = other, blamed
				}
				if !errors.Is(blamed, syscall.ECONNRESET) || other != nil {
					t.Errorf("errA = %v, errB = %v, want a reset of %s alone", p.errA, p.errB, who)
				}
			})
		}
	}
}

// A pipe is idle when neither side says anything, and not when one of them does.
func TestPipeIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, client := net.Pipe()
		b, server := net.Pipe()
		go io.Copy(io.Discard, client)
		defer func() { client.Close(); server.Close() }()
		const idle = time.Minute
		p := &pipe{a: a, b: b, idle: idle}
		over := make(chan struct{})
		go func() { defer close(over); p.run() }()
		for range 10 {
			io.WriteString(server, "x")
			time.Sleep(idle - time.Second)
		}
		if p.timedOut.Load() {
			t.Error("a pipe that carries is taken for idle")
		}
		begin := time.Now()
		<-over
		if took := time.Since(begin); !p.timedOut.Load() || took > idle/4+time.Second {
			t.Errorf("timedOut = %v after %v more", p.timedOut.Load(), took)
		}
		if p.errA != nil || p.errB != nil || p.fromB.Load() != 10 {
			t.Errorf("errors %v, %v; %d bytes", p.errA, p.errB, p.fromB.Load())
		}
	})
}

// The end of done breaks a pipe, whatever it waits for: a reader that reads nothing too.
func TestPipeDone(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			a, client := tcpPair(t)
			b, _ := tcpPair(t)
			done := make(chan struct{})
			p := &pipe{a: a, b: b, idle: -1, done: done}
			wait := run(t, p)
			if busy {
				client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
				client.Write(make([]byte, 16<<20)) // more than all buffers on the way
			}
			close(done)
			wait()
			if p.errA != nil || p.errB != nil {
				t.Errorf("a side is blamed: %v, %v", p.errA, p.errB)
			}
		})
	}
}

// reset reaches the socket through everything that lies upon it, and TLS says no goodbye that would look like an end in
// good order.
func TestReset(t *testing.T) {
	for name, kind := range sides(t) {
		t.Run(name, func(t *testing.T) {
			s := kind()
			reset(s.near)
			s.near.Close()
			s.far.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := s.far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the other side reads %v", err)
			}
		})
	}
	near, far := tcpPair(t)
	reset(&replayConn{tcpConn: near})
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("through a replayConn: %v", err)
	}
}
