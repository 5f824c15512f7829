package accesslog

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzRecord writes records made of any strings: each is one line, which its format reads, and writes again as it was.
func FuzzRecord(f *testing.F) {
	f.Add("GET", "/", `a "b" \ c`, "x.example", int64(200), uint64(3))
	f.Add("\n", "\xff", "\u202e", "-", int64(-1), ^uint64(0))
	f.Add(`\x20`, `\"`, `"`, " ", int64(0), uint64(0))
	custom, err := ParseText("%REQ(:METHOD)%|%REQ(:PATH):5%?%REQ(X?USER-AGENT)% %REQUESTED_SERVER_NAME%")
	if err != nil {
		f.Fatal(err)
	}
	all := append(formats(), custom)
	f.Fuzz(func(t *testing.T, method, path, agent, sni string, code int64, flags uint64) {
		r := sample()
		r.Method, r.Path, r.UserAgent, r.RequestedServerName = method, path, agent, sni
		r.RouteName, r.UpstreamTransportFailure, r.UpstreamServiceTime = agent, path, sni
		r.ResponseCode, r.Flags = code, Flags(flags)&(UnconditionalDropOverload<<1-1)
		for _, format := range all {
			line := string(format.Append(nil, r))
			if strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) != len(line)-1 {
				t.Fatalf("%s: %q", format.Name(), line)
			}
			back, err := format.Parse(line)
			if err != nil {
				t.Fatalf("%s: %q: %v", format.Name(), line, err)
			}
			if again := string(format.Append(nil, &back)); again != line {
				t.Fatalf("%s: %q became %q", format.Name(), line, again)
			}
			if agent != "-" && !format.JSON() && format != custom && back.UserAgent != agent {
				t.Fatalf("%s: user agent %q became %q", format.Name(), agent, back.UserAgent)
			}
		}
	})
}

// FuzzRead reads any line: what is read and written is read as the same.
func FuzzRead(f *testing.F) {
	for _, format := range formats() {
		f.Add(strings.TrimSuffix(string(format.Append(nil, sample())), "\n"))
	}
	f.Add(`[2016-04-15T20:17:00.310Z] "GET / HTTP/1.1" 204 UF,XYZ 154 0 226 100 "-" "a\d "b" c" "-" "locations" "10.0.2.1:80"`)
	reader := NewReader()
	f.Fuzz(func(t *testing.T, line string) {
		e, err := reader.Read(line)
		if err != nil {
			return
		}
		written := string(e.Format.Append(nil, &e.Record))
		again, err := e.Format.Parse(written)
		if err != nil {
			t.Fatalf("%q was written as %q: %v", line, written, err)
		}
		if second := string(e.Format.Append(nil, &again)); second != written {
			t.Fatalf("%q, written %q, then %q", line, written, second)
		}
		if !e.Format.JSON() && e.Format.name == NameEnvoy && !reflect.DeepEqual(again, e.Record) {
			t.Fatalf("%q: %+v became %+v", line, e.Record, again)
		}
	})
}
