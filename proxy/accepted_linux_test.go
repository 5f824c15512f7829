package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// acceptedPair gives both ends of a connection that an acceptor took.
func acceptedPair(t testing.TB) (near *acceptedConn, far *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	a, err := newAcceptor(l)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Close(); c.Close() })
	return got.(*acceptedConn), c.(*net.TCPConn)
}

func (s *acceptedConn) registered() bool { return s.file.Load() != nil }

// What is there is read, and an answer written, without the poller; what is not there is waited for.
func TestAcceptedConnReads(t *testing.T) {
	near, far := acceptedPair(t)
	var perched atomic.Int32
	near.perches = &perched
	if l, r := ends(near); l.String() != far.RemoteAddr().String() || r.String() != far.LocalAddr().String() || near.LocalAddr().String() != l.String() {
		t.Errorf("ends %v and %v, the other side has %v and %v", l, r, far.LocalAddr(), far.RemoteAddr())
	}
	io.WriteString(far, "x")
	if err := awaitReadable(near); err != nil {
		t.Fatal(err)
	}
	near.SetReadDeadline(time.Now().Add(time.Hour))
	buf := make([]byte, 8)
	if n, err := near.Read(buf); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := near.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if near.registered() {
		t.Error("the poller knows a connection that never waited")
	}
	got := make(chan error, 1)
	go func() { _, err := near.Read(buf); got <- err }()
	await(t, "a reader on a perch", func() bool { return perched.Load() == 1 })
	io.WriteString(far, "x")
	if err := <-got; err != nil || near.registered() {
		t.Errorf("after a wait: %v, registered %v", err, near.registered())
	}
	go func() { _, err := near.Read(buf); got <- err }()
	await(t, "a reader that the poller knows", near.registered)
	io.WriteString(far, "x")
	if err := <-got; err != nil {
		t.Errorf("after another: %v", err)
	}
	far.CloseWrite()
	if n, err := near.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// awaitReadable waits, without the poller, until there is something to read.
func awaitReadable(c *acceptedConn) error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, readable := look(c); readable {
			return nil
		}
	}
	return errors.New("nothing came")
}

// await waits for what another goroutine does.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is no %s", what)
		}
	}
}

// Deadlines hold whether the poller knew the connection when they were set or not, and one that is over holds for what
// would not wait.
func TestAcceptedConnDeadlines(t *testing.T) {
	buf := make([]byte, 1)
	for name, known := range map[string]bool{"before": false, "after": true} {
		near, far := acceptedPair(t)
		if known {
			near.hold()
			near.register()
			near.letGo()
		}
		near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := near.Read(buf)
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%s: %v", name, err)
		}
		io.WriteString(far, "x")
		if err := awaitReadable(near); err != nil {
			t.Fatal(err)
		}
		near.SetReadDeadline(time.Time{})
		if n, err := near.Read(buf); n != 1 || err != nil {
			t.Errorf("%s, without a deadline: %d, %v", name, n, err)
		}
	}
	near, far := acceptedPair(t)
	io.WriteString(far, "x")
	if err := awaitReadable(near); err != nil {
		t.Fatal(err)
	}
	near.SetDeadline(time.Unix(1, 0))
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	if _, err := near.Write(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the deadline: %v", err)
	}
}

// Many wait for their first bytes at once: some on perches, the others as known to the poller; each gets its own bytes, then and
// when it waits again, and a deadline that somebody else sets wakes it.
func TestAcceptedConnsWait(t *testing.T) {
	var perched atomic.Int32
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		if n := perched.Load(); n != 0 {
			t.Errorf("%d places on perches are taken in the end", n)
		}
	}()
	for i := range 40 {
		near, far := acceptedPair(t)
		near.perches = &perched
		if i%4 == 3 {
			near.perches = &atomic.Int32{}
			near.perches.Store(maxPerched)
		}
		wg.Go(func() {
			buf := make([]byte, 8)
			for _, want := range []string{"first", "second", "third"} {
				if n, err := near.Read(buf); string(buf[:n]) != want || err != nil {
					t.Errorf("%d: read %q, %v; want %q", i, buf[:n], err, want)
				}
				near.Write([]byte("on"))
			}
		})
		wg.Go(func() {
			buf := make([]byte, 2)
			for _, word := range []string{"first", "second", "third"} {
				time.Sleep(time.Duration(i%3) * time.Millisecond)
				io.WriteString(far, word)
				io.ReadFull(far, buf)
			}
		})
		late, _ := acceptedPair(t)
		wg.Go(func() {
			if _, err := late.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d: after a deadline of somebody else: %v", i, err)
			}
		})
		wg.Go(func() {
			time.Sleep(time.Duration(i%3) * time.Millisecond)
			late.SetReadDeadline(time.Now().Add(time.Millisecond))
		})
	}
}

// Close wakes who waits, ends the connection for the other side, and closes the descriptor once: whoever uses the connection
// at that time gets an error and never somebody else's descriptor.
func TestAcceptedConnClose(t *testing.T) {
	for _, wait := range []bool{false, true} {
		near, far := acceptedPair(t)
		got := make(chan error, 1)
		if wait {
			go func() { _, err := near.Read(make([]byte, 1)); got <- err }()
			time.Sleep(5 * time.Millisecond)
		}
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		if wait {
			if err := <-got; !errors.Is(err, net.ErrClosed) {
				t.Errorf("who waits gets %v", err)
			}
		}
		for what, err := range map[string]error{
			"close": near.Close(), "deadline": near.SetDeadline(time.Now()), "end": near.CloseWrite(), "linger": near.SetLinger(0),
			"read": second(near.Read(make([]byte, 1))), "write": second(near.Write([]byte("x"))),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s of a closed connection: %v", what, err)
			}
		}
		far.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side gets %v", err)
		}
	}
}

func second(_ int, err error) error { return err }

// Many connections are closed while others read and write on them: no byte goes astray, as it would over a descriptor that is
// used again.
func TestAcceptedConnCloseWhileUsed(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 120 {
		near, far := acceptedPair(t)
		mark := bytes.Repeat([]byte{byte(i)}, 16)
		wg.Add(3)
		go func() {
			defer wg.Done()
			for {
				if _, err := near.Write(mark); err != nil {
					return
				}
			}
		}()
		go func() {
			defer wg.Done()
			buf := make([]byte, 1024)
			for {
				n, err := near.Read(buf)
				if bytes.ContainsFunc(buf[:n], func(r rune) bool { return r != 'f' }) {
					t.Errorf("%d: read %q", i, buf[:n])
				}
				if err != nil {
					return
				}
			}
		}()
		go func() {
			defer wg.Done()
			io.WriteString(far, "ffff")
			buf := make([]byte, 1024)
			for k := 0; ; k++ {
				n, err := far.Read(buf)
				if len(bytes.Trim(buf[:n], string(mark[:1]))) > 0 {
					t.Errorf("%d: the other side read %q", i, buf[:n])
				}
				if k == i%5 {
					near.Close()
				}
				if err != nil {
					far.Close()
					return
				}
			}
		}()
	}
	wg.Wait()
}
