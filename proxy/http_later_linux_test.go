package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// postponedPair gives a connection whose writes wait for the next Read, and its other end.
func postponedPair(t *testing.T) (near *rawConn, far *net.TCPConn) {
	t.Helper()
	a, far := tcpPair(t)
	near = newRawConn(a).(*rawConn)
	for _, c := range []net.Conn{near, far} {
		c.SetDeadline(time.Now().Add(30 * time.Second))
	}
	near.postpone()
	return near, far
}

// echo answers what comes with as many bytes.
func echo(t *testing.T, c net.Conn, n int) {
	t.Helper()
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Errorf("the other end: %v", err)
	}
	c.Write(got)
}

// What is postponed goes out with the Read, and in order where it is much.
func TestPostponed(t *testing.T) {
	for name, parts := range map[string][]int{
		"one write":                {100},
		"many":                     {100, 1, 300},
		"too long":                 {smallBuffer + 1},
		"longer in the end":        {100, smallBuffer, 50},
		"as much as can be kept":   {smallBuffer - 10, 10},
		"more than a socket takes": {100, 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := postponedPair(t)
			var want []byte
			total := 0
			for _, n := range parts {
				total += n
			}
			answered := make(chan []byte, 1)
			go func() {
				got := make([]byte, total)
				n, _ := io.ReadFull(far, got)
				near.SetReadDeadline(time.Unix(1, 0)) // all of it is here: Read may end
				rest, _ := io.ReadAll(far)
				answered <- append(got[:n], rest...)
			}()
			for i, n := range parts {
				part := bytes.Repeat([]byte{byte('a' + i)}, n)
				if m, err := near.Write(part); m != n || err != nil {
					t.Fatalf("write: %d, %v", m, err)
				}
				want = append(want, part...)
			}
			if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			if near.kept() || near.unsent() {
				t.Error("something is kept after Read")
			}
			near.CloseWrite()
			if got := <-answered; !bytes.Equal(got, want) {
				t.Errorf("%d bytes arrived, or others; want %d", len(got), len(want))
			}
		})
	}
}

// A Read gives the answer, and the next one is as any other.
func TestPostponedAnswer(t *testing.T) {
	near, far := postponedPair(t)
	near.Write([]byte("ping"))
	if !near.kept() || !near.unsent() {
		t.Error("nothing is kept before Read")
	}
	if state, readable := near.look(); state != peerOpen || readable {
		t.Errorf("before Read: %v, %v", state, readable)
	}
	go echo(t, far, 4)
	got := make([]byte, 10)
	if n, err := near.Read(got); string(got[:n]) != "ping" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	far.Write([]byte("more"))
	if n, err := near.Read(got); string(got[:n]) != "more" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if _, err := near.Write([]byte("on")); err != nil {
		t.Error(err)
	}
	if n, err := far.Read(got); string(got[:n]) != "on" || err != nil {
		t.Errorf("a write that is not postponed: %q, %v", got[:n], err)
	}
}

// Where there is no room for all of it, Read waits for that first.
func TestPostponedWithoutRoom(t *testing.T) {
	near, far := postponedPair(t)
	near.later.on = false
	file, err := near.tcpConn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd := int(file.Fd())
	unix.SetNonblock(fd, true)
	filled := 0
	for chunk := make([]byte, 64<<10); ; {
		n, err := unix.Write(fd, chunk)
		if err == unix.EAGAIN && len(chunk) == 1 {
			break
		} else if err == unix.EAGAIN {
			chunk = chunk[:1]
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		filled += n
	}
	near.postpone()
	near.Write([]byte("ping"))
	go func() {
		io.CopyN(io.Discard, far, int64(filled))
		echo(t, far, 4)
	}()
	got := make([]byte, 10)
	if n, err := near.Read(got); string(got[:n]) != "ping" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
}

// What cannot be sent is told, and what the other side said before it went is read.
func TestPostponedToNobody(t *testing.T) {
	near, far := postponedPair(t)
	far.SetLinger(0)
	far.Close()
	near.Write([]byte("ping"))
	if n, err := near.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if !near.unsent() {
		t.Error("it counts as sent")
	}

	near, far = postponedPair(t)
	far.Write([]byte("bye"))
	far.Close()
	near.Write([]byte("ping")) // which is sent, to be answered with a reset
	got := make([]byte, 10)
	if n, err := near.Read(got); string(got[:n]) != "bye" && err == nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if near.unsent() {
		t.Error("it counts as not sent")
	}
}
