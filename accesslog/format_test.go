package accesslog

import (
	"strings"
	"testing"
	"time"
)

func fullRecord() *Record {
	r := sample()
	r.Request = []Field{{"X-Team", "red"}, {"x-envoy-original-path", "/before"}}
	r.Response = []Field{{"content-type", "text/html; charset=utf-8"}}
	r.Trailers = []Field{{"grpc-message", "no"}}
	r.Metadata = []Field{{"istio.mixer:status", "OK"}}
	r.FilterState = []Field{{"peer", "x"}}
	r.RequestTime, r.ResponseTime, r.ResponseSendTime = time.Millisecond, 2*time.Millisecond, 1999*time.Microsecond
	r.Downstream = TLS{PeerURISAN: "spiffe://cluster.local/ns/a/sa/b", LocalURISAN: "spiffe://cluster.local/ns/c/sa/d",
		PeerSubject: "O=x, CN=y", Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	r.UpstreamAttempts, r.ConnectionID, r.GRPCStatus, r.Hostname = 2, 77, "Unavailable", "pod-1"
	return r
}

func TestOperators(t *testing.T) {
	tests := []struct{ format, want string }{
		{"%REQ(:METHOD)%", "GET"},
		{"%REQ(x-team)%", "red"},
		{"%REQ(X-TEAM):2%", "re"},
		{"%REQ(NOPE)%", "-"},
		{"%REQ(NOPE?X-TEAM)%", "red"},
		{"%REQ(X-TEAM?NOPE)%", "red"},
		{"%REQ(NOPE?X-TEAM):1%", "r"},
		{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/before"},
		{"%RESP(CONTENT-TYPE)%", `text/html;\x20charset=utf-8`},
		{`"%RESP(CONTENT-TYPE)%"`, `"text/html; charset=utf-8"`},
		{"%TRAILER(GRPC-MESSAGE)%", "no"},
		{"%DYNAMIC_METADATA(istio.mixer:status)%", "OK"},
		{"%FILTER_STATE(peer)%", "x"},
		{"%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "UC,URX UpstreamConnectionTermination,UpstreamRetryLimitExceeded"},
		{"%REQUEST_DURATION%/%RESPONSE_DURATION%/%RESPONSE_TX_DURATION%", "1/2/1"},
		{"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "fd00::3 37652"},
		{"%UPSTREAM_REMOTE_PORT% %UPSTREAM_REMOTE_ADDRESS%", "9080 10.1.0.7:9080"},
		{"%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION%", "spiffe://cluster.local/ns/a/sa/b TLSv1.3"},
		{"%DOWNSTREAM_PEER_SUBJECT%", `O=x,\x20CN=y`},
		{"%UPSTREAM_REQUEST_ATTEMPT_COUNT% %CONNECTION_ID% %HOSTNAME% %GRPC_STATUS%", "2 77 pod-1 Unavailable"},
		{"100%% of %PROTOCOL%", "100% of HTTP/1.1"},
		{"%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2020/11/25 21:26:18.409"},
		{"%START_TIME(%s)%", "1606339578"},
		{"%START_TIME(%3s)%", "1606339578409"},
		{"%START_TIME(%s.%6f)%", "1606339578.409000"},
		{"%START_TIME(%FT%T%z)%", "2020-11-25T21:26:18+0000"},
		{"%START_TIME(%T %Z %%)%", "21:26:18 UTC %"},
		{"%START_TIME% %START_TIME(%T)%", "2020-11-25T21:26:18.409Z 21:26:18"},
		{"%START_TIME(%f)%", "409000000"},
		// The byte that ends a value is escaped within it, whatever it is.
		{"%REQ(:PATH)%?%PROTOCOL%", `/productpage\x3fu=a\x20b?HTTP/1.1`},
		{"ends in a line feed\n", "ends in a line feed"},
	}
	for _, tt := range tests {
		f, err := ParseText(tt.format)
		if err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		line := string(f.Append(nil, fullRecord()))
		if line != tt.want+"\n" {
			t.Errorf("%s: got %swant %s", tt.format, line, tt.want)
		}
		r, err := f.Parse(line)
		if err != nil {
			t.Errorf("%s: read: %v", tt.format, err)
			continue
		}
		if again := string(f.Append(nil, &r)); again != line {
			t.Errorf("%s: %swas read and written as %s", tt.format, line, again)
		}
		if e, err := NewReader(f).Read(line); err != nil || e.Format != f || f.Name() != "custom" {
			t.Errorf("%s: the reader says %v, %v", tt.format, e.Format, err)
		}
	}
}

func TestJSONFormats(t *testing.T) {
	tests := []struct{ format, want string }{
		{`{"b": "%RESPONSE_CODE%", "a": "%REQ(NOPE)%"}`, `{"b":503,"a":null}`},
		{`{"line": "%REQ(:METHOD)% \"%REQ(USER-AGENT)%\""}`, `{"line":"GET \"curl/8 \\\"quoted\\\"\""}`},
		{`{"x": {"y": "%PROTOCOL%", "z": {}}, "one": 1, "yes": true, "none": null, "empty": "", "text": "a%%b"}`,
			`{"x":{"y":"HTTP/1.1","z":{}},"one":1,"yes":true,"none":null,"empty":"","text":"a%b"}`},
		{`{"t": "%START_TIME(%s)%", "f": "%RESPONSE_FLAGS%"}`, `{"t":"1606339578","f":"UC,URX"}`},
		{`{"ke\ny": "%DURATION%"}`, `{"ke\u000ay":4}`},
	}
	for _, tt := range tests {
		f, err := ParseJSON(tt.format)
		if err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		line := string(f.Append(nil, fullRecord()))
		if line != tt.want+"\n" {
			t.Errorf("%s: got %swant %s", tt.format, line, tt.want)
		}
		r, err := f.Parse(line)
		if err != nil {
			t.Errorf("%s: read: %v", tt.format, err)
			continue
		}
		if again := string(f.Append(nil, &r)); again != line {
			t.Errorf("%s: %swas read and written as %s", tt.format, line, again)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for format, want := range map[string]string{
		"":                                  "empty",
		"%NO_SUCH_THING%":                   "%NO_SUCH_THING%: no such operator",
		"%protocol%":                        "no such operator",
		"%PROTOCOL":                         "does not end",
		"%PROTOCOL%%":                       "does not end",
		"%REQ(:METHOD%":                     "no closing parenthesis",
		"%REQ%":                             "needs an argument",
		"%REQ()%":                           "needs an argument",
		"%REQ(A?B?C)%":                      "not X or X?Y",
		"%REQ(?B)%":                         "not X or X?Y",
		"%REQ(A):%":                         "no length",
		"%REQ(A):0%":                        "not a number",
		"%REQ(A):x%":                        "not a number",
		"%REQ(A)x%":                         "does not end",
		"%PROTOCOL(x)%":                     "takes no argument",
		"%RESPONSE_CODE:3%":                 "takes no length",
		"%START_TIME(%q)%":                  "%q is not known",
		"%START_TIME(%4Y)%":                 "not known",
		"%START_TIME(x%)%":                  "ends in %",
		"%START_TIME(a\nb)%":                "control character",
		"a\nb":                              "control character",
		"%NO_ADDRESS_WITHOUT_PORT%":         "no such operator",
		"%UPSTREAM_PORT%":                   "no such operator",
		"%UPSTREAM_CLUSTER%\n\n":            "control character",
		"%DOWNSTREAM_REMOTE_ADDRESS:3%\x1b": "control character",
	} {
		if _, err := ParseText(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
	for format, want := range map[string]string{
		"":                           "no JSON object",
		"[]":                         "no JSON object",
		"{}":                         "empty",
		`{"a": "%NOPE%"}`:            `key "a": operator %NOPE%`,
		`{"a": ["x"]}`:               "lists",
		`{"a": "x", "a": "y"}`:       "twice",
		`{"a": "x"`:                  "EOF",
		`{"a": }`:                    "invalid",
		`{"a": "x"} {}`:              "after",
		`{"a": "x\ny"}`:              "control character",
		strings.Repeat(`{"a":`, 20):  "deep",
		`{"a": {"b": "%REQ(A?)%"}}`:  `key "b"`,
		`{"a": "%START_TIME(%q)%"}`:  "%q",
		`{"a": "x", 5: "y"}`:         "invalid",
		`{"a": {"b": "x", "b": "y"}`: "twice",
	} {
		if _, err := ParseJSON(format); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

// TestUnreadable are formats that can be written alone: nobody could tell where a value ends.
func TestUnreadable(t *testing.T) {
	for _, format := range []string{"%PROTOCOL%%RESPONSE_CODE%", `%PROTOCOL%\x`} {
		f, err := ParseText(format)
		if err != nil {
			t.Fatal(err)
		}
		line := f.Append(nil, sample())
		if _, err := f.Parse(string(line)); err == nil {
			t.Errorf("%s: %s was read", format, line)
		}
	}
	f, err := ParseJSON(`{"a": {"b": "%PROTOCOL%%PROTOCOL%"}}`)
	if err != nil || f.reads == nil {
		t.Errorf("%v, %v", f, err)
	}
}

// TestAlternatives is about columns of which one tells more about a header than the other.
func TestAlternatives(t *testing.T) {
	for _, tt := range []struct{ format, line, path, original string }{
		{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/a", "/a", ""},
		{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)%", "/a /b", "/b", "/a"},
		{"%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/b /a", "/b", "/a"},
		{"%REQ(X-ENVOY-ORIGINAL-PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "- /a", "/a", ""},
		{"%REQ(X-ENVOY-ORIGINAL-PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/a /a", "", "/a"},
		{"%REQ(:PATH):2% %REQ(:PATH)%", "/l /long", "/long", ""},
		{"%REQ(:PATH):2%", "/l", "/l", ""},
	} {
		f, err := ParseText(tt.format)
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Parse(tt.line)
		if err != nil || r.Path != tt.path || find(r.Request, "x-envoy-original-path") != tt.original {
			t.Errorf("%s of %q: path %q, request %v, %v", tt.format, tt.line, r.Path, r.Request, err)
		}
		if again := string(f.Append(nil, &r)); again != tt.line+"\n" {
			t.Errorf("%s: %q became %q", tt.format, tt.line, again)
		}
	}
}

func TestFields(t *testing.T) {
	var fields []Field
	put(&fields, "a", "1")
	put(&fields, "b", "2")
	put(&fields, "A", "3")
	put(&fields, "b", "")
	put(&fields, "c", "")
	if len(fields) != 1 || find(fields, "a") != "3" || find(fields, "b") != "" {
		t.Errorf("got %v", fields)
	}
}

func TestPorts(t *testing.T) {
	f, err := ParseText("%UPSTREAM_REMOTE_PORT%")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Parse("http"); err == nil {
		t.Error("a port that is no number was read")
	}
	for s, want := range map[string][2]string{
		"10.0.0.1:80": {"10.0.0.1", "80"}, "[::1]:80": {"::1", "80"}, "::1": {"::1", ""}, "10.0.0.1": {"10.0.0.1", ""},
		":80": {"", "80"}, "": {"", ""}, "/run/x.sock": {"/run/x.sock", ""}, "envoy://internal": {"envoy://internal", ""},
	} {
		if host, port := splitAddress(s); host != want[0] || port != want[1] {
			t.Errorf("%q: %q, %q", s, host, port)
		}
	}
}
