package proxy

import (
	"bufio"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A matchCase is one file of testdata/match: lines "chain NAME MATCH..." and "DESTINATION SEEN... -> NAME".
type matchCase struct {
	chains []*chain
	lines  []string
}

func readMatchCase(t *testing.T, file string) matchCase {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out matchCase
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		switch fields := strings.Fields(line); {
		case line == "" || line[0] == '#':
		case fields[0] == "chain":
			out.chains = append(out.chains, &chain{FilterChain: &FilterChain{Name: fields[1], Match: readMatch(t, fields[2:])}})
		default:
			out.lines = append(out.lines, line)
		}
	}
	return out
}

func readMatch(t *testing.T, words []string) (m ChainMatch) {
	t.Helper()
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "port":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			m.Port = uint16(n)
		case "prefix":
			for _, p := range strings.Split(value, ",") {
				m.Prefixes = append(m.Prefixes, netip.MustParsePrefix(p))
			}
		case "sni":
			m.Names = strings.Split(value, ",")
		case "alpn":
			m.ALPN = strings.Split(value, ",")
		case "tls":
			m.Transport = TransportTLS
		case "raw":
			m.Transport = TransportRaw
		default:
			t.Fatalf("%q: no such condition", w)
		}
	}
	return m
}

// Istio's inbound chains for every mode and every kind of port choose as Envoy does, in whatever order they come.
func TestChainMatchCases(t *testing.T) {
	files, err := filepath.Glob("testdata/match/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			in := readMatchCase(t, file)
			for turn := range in.chains {
				ix, err := newChainIndex(append(in.chains[turn:len(in.chains):len(in.chains)], in.chains[:turn]...))
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range in.lines {
					ask, want, ok := strings.Cut(line, "->")
					if !ok {
						t.Fatalf("%q: want DESTINATION SEEN... -> NAME", line)
					}
					fields := strings.Fields(ask)
					m := readMatch(t, fields[1:])
					got := "none"
					if c := ix.find(netip.MustParseAddrPort(fields[0]), seen{transport: m.Transport, names: strings.Join(m.Names, ","), alpn: m.ALPN}); c != nil {
						got = c.Name
					}
					if got != strings.TrimSpace(want) {
						t.Errorf("%s: got %s (chains turned by %d)", line, got, turn)
					}
				}
			}
		})
	}
}

// What a refused client is told about: whether the destination takes TLS alone, and by which policy.
func TestIndexFacts(t *testing.T) {
	tls := &ServerTLS{}
	ix, err := newChainIndex([]*chain{
		{FilterChain: &FilterChain{Match: ChainMatch{Port: 1, Transport: TransportTLS}, TLS: tls, Policy: "PeerAuthentication a/b"}},
		{FilterChain: &FilterChain{Match: ChainMatch{Port: 2, Transport: TransportTLS}, TLS: tls}},
		{FilterChain: &FilterChain{Match: ChainMatch{Port: 2, Transport: TransportRaw}, Policy: "PeerAuthentication a/c"}},
		{FilterChain: &FilterChain{Match: ChainMatch{Transport: TransportTLS}, TLS: tls}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		port   uint16
		only   bool
		policy string
	}{{1, true, "PeerAuthentication a/b"}, {2, false, "PeerAuthentication a/c"}, {3, true, ""}} {
		at := netip.AddrPortFrom(netip.IPv6Loopback(), c.port)
		if got := ix.onlyTLS(at); got != c.only {
			t.Errorf("port %d: onlyTLS = %v", c.port, got)
		}
		if got := ix.policy(at); got != c.policy {
			t.Errorf("port %d: policy = %q, want %q", c.port, got, c.policy)
		}
	}
	if none, _ := newChainIndex(nil); none.onlyTLS(netip.AddrPortFrom(netip.IPv6Loopback(), 1)) {
		t.Error("a listener without chains takes TLS alone")
	}
}
