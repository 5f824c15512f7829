package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oarlock/oarlock/meshtest"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

var somebody = Peer{Workload: "reviews-v1", Namespace: "bookinfo", App: "reviews", Version: "v1", CanonicalService: "reviews", CanonicalRevision: "v1", Cluster: "Kubernetes"}

// What we write is what protobuf's own library reads, and the other way round.
func TestMetadataIsProtobuf(t *testing.T) {
	var got structpb.Struct
	if err := proto.Unmarshal(encodePeer(somebody, "node"), &got); err != nil {
		t.Fatal(err)
	}
	fields := got.AsMap()
	body := fields["x-envoy-peer-metadata"].(map[string]any)
	labels := body["LABELS"].(map[string]any)
	if fields["x-envoy-peer-metadata-id"] != "node" || body["WORKLOAD_NAME"] != "reviews-v1" || body["NAMESPACE"] != "bookinfo" || labels["app"] != "reviews" ||
		labels["service.istio.io/canonical-revision"] != "v1" || body["CLUSTER_ID"] != "Kubernetes" {
		t.Errorf("protobuf reads %v", fields)
	}
	theirs, err := structpb.NewStruct(map[string]any{
		"x-envoy-peer-metadata-id": "other",
		"x-envoy-peer-metadata": map[string]any{
			"WORKLOAD_NAME": "reviews-v1", "NAMESPACE": "bookinfo", "CLUSTER_ID": "Kubernetes", "MESH_ID": "m", "APP_CONTAINERS": []any{"a", 1, true, nil},
			"PLATFORM_METADATA": map[string]any{"WORKLOAD_NAME": "trap"},
			"LABELS":            map[string]any{"app": "reviews", "version": "v1", "service.istio.io/canonical-name": "reviews", "service.istio.io/canonical-revision": "v1", "other": "x"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := decodePeer(b); p != somebody || err != nil {
		t.Errorf("we read %+v, %v", p, err)
	}
	for cut := range b {
		decodePeer(b[:cut]) // it must not panic
	}
	wrapped, err := anypb.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = proto.Marshal(wrapped); err != nil {
		t.Fatal(err)
	}
	if p, err := decodeAny(b); p != somebody || err != nil {
		t.Errorf("in an Any we read %+v, %v", p, err)
	}
}

// The strings that break a Struct are not lost in one: any text stays what it is.
func FuzzPeer(f *testing.F) {
	f.Add("reviews", "v1", "id")
	f.Add("", "\x00\xff", strings.Repeat("x", 300))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		in := Peer{Workload: a, Namespace: b, App: c, Version: a, CanonicalService: b, CanonicalRevision: c, Cluster: a}
		if got, err := decodePeer(encodePeer(in, c)); got != in || err != nil {
			t.Errorf("%+v became %+v, %v", in, got, err)
		}
	})
}

// exchanged frames bytes as a message of a size.
func exchanged(magic, size uint32, body string) string {
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, magic), size)) + body
}

// A message is read to its last byte and no further, in whatever pieces; one that is broken is an error, and its size
// reserves no memory.
func TestReadPeer(t *testing.T) {
	good := string(writePeer(somebody, "node"))
	other := string(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "type.googleapis.com/other"))
	for _, c := range []struct {
		name, sent string
		want       Peer
		err        string // "" none
		rest       string
	}{
		{"good", good, somebody, "", ""},
		{"good, and the application", good + "GET /", somebody, "", "GET /"},
		{"empty", exchanged(exchangeMagic, 0, "") + "rest", Peer{}, "", "rest"},
		{"an Any of nothing", exchanged(exchangeMagic, uint32(len(other)), other), Peer{}, "", ""},
		{"other magic", exchanged(0x12345678, 4, "xxxx"), Peer{}, "begins with 0x12345678", "xxxx"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01", Peer{}, "begins with 0x16030102", ""},
		{"too long", exchanged(exchangeMagic, exchangeMax+1, ""), Peer{}, "65537 bytes", ""},
		{"huge", exchanged(exchangeMagic, 1<<32-1, ""), Peer{}, "4294967295 bytes", ""},
		{"shorter than it says", exchanged(exchangeMagic, 100, "abc"), Peer{}, "EOF", ""},
		{"cut head", "\x3d\x23\x04", Peer{}, "unexpected EOF", ""},
		{"nothing", "", Peer{}, "EOF", ""},
		{"no protobuf", exchanged(exchangeMagic, 4, "\xff\xff\xff\xff"), Peer{}, "read metadata", ""},
		{"a field that goes on", exchanged(exchangeMagic, 3, "\x12\x7fx"), Peer{}, "read metadata", ""},
		{"a Struct that is none", exchanged(exchangeMagic, 4, "\x12\x02\x0a\x7f"), Peer{}, "read metadata", ""},
	} {
		for _, pieces := range []int{1, 7, 1 << 20} {
			here, there := meshtest.Pipe()
			for rest := c.sent; rest != ""; {
				n := min(pieces, len(rest))
				io.WriteString(there, rest[:n])
				rest = rest[n:]
			}
			there.Close()
			got, err := readPeer(here)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s in pieces of %d: %+v, %v", c.name, pieces, got, err)
			}
			if rest, _ := io.ReadAll(here); err == nil && string(rest) != c.rest {
				t.Errorf("%s: %q is left, want %q", c.name, rest, c.rest)
			}
		}
	}
}

// A peer that says nothing is waited for for a while; after a good message the application has all the time.
func TestReadPeerTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		begin := time.Now()
		if _, err := readPeer(here); err == nil || time.Since(begin) != exchangeTime {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		go there.Write(writePeer(somebody, ""))
		if p, err := readPeer(here); p != somebody || err != nil {
			t.Errorf("then %+v, %v", p, err)
		}
		go func() { time.Sleep(time.Hour); io.WriteString(there, "x") }()
		if _, err := here.Read(make([]byte, 1)); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// What a request line to a proxy door asks for.
func TestProxyTarget(t *testing.T) {
	for _, c := range []struct {
		head, method, host string
		port               uint16
	}{
		{"CONNECT a:80 HTTP/1.1", "CONNECT", "a", 80},
		{"CONNECT [fd00::1]:8080 HTTP/1.1", "CONNECT", "fd00::1", 8080},
		{"CONNECT a HTTP/1.1", "CONNECT", "a", 80},
		{"CONNECT", "CONNECT", "", 0},
		{"CONNECT a:0 HTTP/1.1", "CONNECT", "a", 0},
		{"CONNECT a:-1 HTTP/1.1", "CONNECT", "", 0},
		{"CONNECT a:65536 HTTP/1.1", "CONNECT", "", 0},
		{"GET http://a/b HTTP/1.1", "GET", "a", 80},
		{"GET http://A.Example:81?q HTTP/1.1", "GET", "a.example", 81},
		{"GET http://[::1]/ HTTP/1.1", "GET", "::1", 80},
		{"POST HTTP://a HTTP/1.0", "POST", "a", 80},
		{"GET https://a/ HTTP/1.1", "GET", "", 0},
		{"GET /a HTTP/1.1", "GET", "", 0},
		{"GET http:///a HTTP/1.1", "GET", "", 0},
		{"\x16\x03\x01", "\x16\x03\x01", "", 0},
		{"", "", "", 0},
	} {
		method, authority := proxyTarget([]byte(c.head + "\r\nHost: other\r\n\r\n"))
		host, port := splitAuthority(authority)
		if method != c.method || host != c.host || port != c.port {
			t.Errorf("%q: %s %s port %d, want %s %s port %d", c.head, method, host, port, c.method, c.host, c.port)
		}
	}
}

func FuzzProxyTarget(f *testing.F) {
	f.Add([]byte("GET http://a/ HTTP/1.1\r\n\r\n"))
	f.Add([]byte("CONNECT [::1]:1 HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, authority := proxyTarget(b)
		if host, port := splitAuthority(authority); port != 0 && host == "" && !strings.HasPrefix(authority, ":") && strings.Trim(authority, "[]") != "" {
			t.Errorf("%q: port %d of nobody", authority, port)
		}
	})
}

// A head is read to its end in any pieces, with what follows it, and up to a bound.
func TestReadProxyHead(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		ok         bool
	}{
		{"short", "CONNECT a:80 HTTP/1.1\r\n\r\n", true},
		{"with more behind", "CONNECT a:80 HTTP/1.1\r\n\r\n\x16\x03\x01", true},
		{"long", "GET http://a/" + strings.Repeat("x", 9000) + " HTTP/1.1\r\n\r\n", true},
		{"as long as may be", "GET http://a/" + strings.Repeat("x", maxProxyHead-13-13) + " HTTP/1.1\r\n\r\n", true},
		{"too long", "GET http://a/" + strings.Repeat("x", 2*maxProxyHead) + " HTTP/1.1\r\n\r\n", false},
		{"no end", "GET http://a/ HTTP/1.1\r\nHost: a\r\n", false},
		{"bare line feeds", "GET http://a/ HTTP/1.1\n\n", false},
	} {
		for _, pieces := range []int{1, 1000, 1 << 20} {
			here, there := meshtest.Pipe()
			go func() {
				for rest := c.sent; rest != ""; {
					n := min(pieces, len(rest))
					io.WriteString(there, rest[:n])
					rest = rest[n:]
				}
				there.Close()
			}()
			head, err := readProxyHead(here)
			if (err == nil) != c.ok || err == nil && !bytes.HasPrefix([]byte(c.sent), head) {
				t.Errorf("%s in pieces of %d: %d bytes, %v", c.name, pieces, len(head), err)
			}
			if rest, _ := io.ReadAll(here); err == nil && string(head)+string(rest) != c.sent {
				t.Errorf("%s in pieces of %d: bytes are lost", c.name, pieces)
			}
			here.Close()
		}
	}
}

// The original destination of a connection that nobody redirected is not invented.
func TestOriginalDst(t *testing.T) {
	_, there := tcpPair(t)
	got, err := originalDst(there)
	if want := addrPort(there.LocalAddr()); err == nil && got != want {
		t.Errorf("got %v, want an error or %v", got, want)
	}
	if got := addrPort(&net.UnixAddr{}); got != (netip.AddrPort{}) {
		t.Errorf("a socket of another kind has %v", got)
	}
}
