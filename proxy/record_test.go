package proxy

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// tlsRecordOf frames a body as a TLS record.
func tlsRecordOf(body []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(body))), body...)
}

// Any sequence of records, written in any pieces and read into buffers of any size, arrives as it was; a Read never goes
// over the end of a record, and when nothing is unread no buffer is held.
func TestRecordsAnySplit(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var stream []byte
		var ends []int
		for range 1 + r.IntN(30) {
			size := []int{0, 1, 5, r.IntN(300), r.IntN(maxRecord + 256), maxRecord + 256}[r.IntN(6)]
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			stream = append(stream, tlsRecordOf(body)...)
			ends = append(ends, len(stream))
		}
		here, there := tcpPair(t)
		pieces := r.IntN(4000) + 1
		go func() {
			for rest := stream; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(pieces*10))
				there.Write(rest[:n])
				rest = rest[n:]
			}
			there.CloseWrite()
		}()
		c := &recordConn{tcpConn: here}
		sizes := rand.New(rand.NewPCG(seed, 2))
		var got []byte
		buf := make([]byte, 40<<10)
		for {
			n, err := c.Read(buf[:1+sizes.IntN(len(buf))])
			if before := len(got); n > 0 {
				got = append(got, buf[:n]...)
				for _, end := range ends {
					if before < end && end < len(got) {
						t.Fatalf("seed %d: one Read from %d to %d, over the end of a record at %d", seed, before, len(got), end)
					}
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 {
				t.Fatalf("seed %d: read %d, %v", seed, n, err)
			}
		}
		if !bytes.Equal(got, stream) {
			t.Fatalf("seed %d: %d bytes in, %d out, not the same", seed, len(stream), len(got))
		}
		if c.in != nil || c.start != c.end {
			t.Errorf("seed %d: a buffer is held at the end", seed)
		}
		here.Close()
		there.Close()
	}
}

// A connection cut anywhere gives what came and then the end.
func TestRecordCutOff(t *testing.T) {
	whole := tlsRecordOf([]byte("hello"))
	for cut := range len(whole) {
		here, there := tcpPair(t)
		there.Write(whole[:cut])
		there.Close()
		got, err := io.ReadAll(&recordConn{tcpConn: here})
		if err != nil || !bytes.Equal(got, whole[:cut]) {
			t.Errorf("cut at %d: %x, %v", cut, got, err)
		}
	}
}

func TestRecordReady(t *testing.T) {
	one := tlsRecordOf([]byte("one"))
	for _, c := range []struct {
		name string
		in   []byte
		read int // bytes read before the question
		want bool
	}{
		{"nothing", nil, 0, false},
		{"begin of a header", one[:4], 0, false},
		{"a header", one[:5], 0, false},
		{"all but a byte", one[:len(one)-1], 0, false},
		{"a record", one, 0, true},
		{"in the middle of a record", one, 3, false},
		{"a second one behind", append(bytes.Clone(one), one...), len(one), true},
		{"half of a second one", append(bytes.Clone(one), one[:6]...), len(one), false},
	} {
		here, there := tcpPair(t)
		r := &recordConn{tcpConn: here}
		if len(c.in) > 0 {
			there.Write(c.in)
			for r.end-r.start < len(c.in) {
				if err := r.fill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if c.read > 0 {
			if _, err := io.ReadFull(r, make([]byte, c.read)); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.ready(); got != c.want {
			t.Errorf("%s: ready = %v", c.name, got)
		}
		r.only = true
		if n, err := r.Read(make([]byte, 100)); c.want != (n == len(one)) || !c.want && n == 0 && !errors.Is(err, errNoMore{}) {
			t.Errorf("%s: without waiting %d, %v", c.name, n, err)
		}
	}
}

// What is corked goes out at once, in order, and the buffer is given back.
func TestRecordCork(t *testing.T) {
	here, there := tcpPair(t)
	c := &recordConn{tcpConn: here}
	io.WriteString(c, "a")
	if err := c.flush(); err != nil {
		t.Errorf("flush of nothing: %v", err)
	}
	c.cork()
	for range 3 {
		if n, err := io.WriteString(c, "bc"); n != 2 || err != nil {
			t.Fatalf("write %d, %v", n, err)
		}
	}
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	there.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	if got, _ := io.ReadAll(there); len(got) > 0 {
		t.Errorf("before flush: %q", got)
	}
	if err := c.flush(); err != nil || c.out != nil || c.corked {
		t.Errorf("flush: %v, out %v, corked %v", err, c.out, c.corked)
	}
	io.WriteString(c, "d")
	here.CloseWrite()
	there.SetReadDeadline(time.Now().Add(30 * time.Second))
	if got, err := io.ReadAll(there); string(got) != "bcbcbcd" || err != nil {
		t.Errorf("after flush: %q, %v", got, err)
	}
	there.Close()
	here.Close()
	c.cork()
	io.WriteString(c, "x")
	if err := c.flush(); err == nil || c.out != nil {
		t.Errorf("flush to a closed connection: %v, out %v", err, c.out)
	}
}

// A forger writes TLS 1.3 records with a connection's own keys, which crypto/tls would not write.
type forger struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

func newForger(t *testing.T, keyLog, label string) *forger {
	t.Helper()
	for line := range strings.Lines(keyLog) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != label {
			continue
		}
		secret, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) != sha256.Size {
			t.Skip("this machine prefers a cipher suite that the forger does not know")
		}
		expand := func(label string, size int) []byte {
			info := append(binary.BigEndian.AppendUint16(nil, uint16(size)), byte(len("tls13 "+label)))
			out, err := hkdf.Expand(sha256.New, secret, string(info)+"tls13 "+label+"\x00", size)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		block, err := aes.NewCipher(expand("key", 16))
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		return &forger{aead: aead, iv: expand("iv", 12)}
	}
	t.Fatalf("no %s in the key log", label)
	return nil
}

func (f *forger) record(kind byte, content []byte) []byte {
	nonce := bytes.Clone(f.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.seq) {
		nonce[4+i] ^= b
	}
	f.seq++
	inner := append(bytes.Clone(content), kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+f.aead.Overhead()))
	return f.aead.Seal(head, nonce, inner, head)
}

// A record without bytes for the application does not keep back those that came before it: the client of a protocol that
// waits for an answer would wait for ever.
func TestKeyUpdateBehindBytes(t *testing.T) {
	for name, behind := range map[string]struct {
		kind    byte
		content []byte
	}{
		"key update":   {22, []byte{24, 0, 0, 1, 0}},
		"empty record": {23, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var keyLog bytes.Buffer
			here, there := tcpPair(t)
			server := tls.Server(&recordConn{tcpConn: here}, &tls.Config{Certificates: []tls.Certificate{NewRoot(t).Issue(t, Leaf{ID: "spiffe://x/y"})}})
			client := tls.Client(there, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keyLog})
			shaken := make(chan error, 1)
			go func() { shaken <- server.Handshake() }()
			if err := errors.Join(client.Handshake(), <-shaken); err != nil {
				t.Fatal(err)
			}
			if client.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
				t.Skip("this machine prefers a cipher suite that the forger does not know")
			}
			f := newForger(t, keyLog.String(), "CLIENT_TRAFFIC_SECRET_0")
			up, application := tcpPair(t)
			p := &pipe{a: server, b: up, idle: -1}
			over := make(chan struct{})
			go func() { defer close(over); p.run() }()
			there.Write(append(f.record(23, []byte("ping")), f.record(behind.kind, behind.content)...))
			application.SetReadDeadline(time.Now().Add(30 * time.Second))
			got := make([]byte, 4)
			if _, err := io.ReadFull(application, got); string(got) != "ping" {
				t.Errorf("the application got %q, %v", got, err)
			}
			there.Close()
			application.Close()
			<-over
		})
	}
}
