package accesslog

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2020, 11, 25, 21, 26, 18, 409_000_000, time.UTC)

// sample is a request that failed, with every column of Istio's formats filled.
func sample() *Record {
	return &Record{
		Start: start, Duration: 4 * time.Millisecond,
		RequestTime: Absent, ResponseTime: Absent, ResponseSendTime: Absent,
		Method: "GET", Path: "/productpage?u=a b", Protocol: "HTTP/1.1", Authority: "productpage:9080",
		UserAgent: `curl/8 "quoted"`, RequestID: "84961386", ForwardedFor: "10.0.0.9",
		ResponseCode: 503, CodeDetails: "upstream reset before response", Flags: UpstreamConnectionTermination | UpstreamRetryLimitExceeded,
		BytesReceived: 12, BytesSent: 95, UpstreamServiceTime: "3",
		UpstreamHost: "10.1.0.7:9080", UpstreamCluster: "outbound|9080||productpage.bookinfo.svc.cluster.local",
		UpstreamLocalAddress: "10.1.0.3:41854", UpstreamTransportFailure: "TLS error: 268435703:SSL routines",
		DownstreamLocalAddress: "10.2.0.1:9080", DownstreamRemoteAddress: "[fd00::3]:37652",
		RequestedServerName: "outbound_.9080_._.productpage.bookinfo.svc.cluster.local", RouteName: "default",
	}
}

func formats() []*Format {
	return []*Format{Istio11(), Istio14(), IstioCurrent(), Envoy(), Istio11JSON(), Istio14JSON(), IstioCurrentJSON()}
}

const (
	sampleHead  = `[2020-11-25T21:26:18.409Z] "GET /productpage?u=a\x20b HTTP/1.1" 503 UC,URX `
	sampleSizes = `12 95 4 3 "10.0.0.9" "curl/8 \"quoted\"" "84961386" "productpage:9080" "10.1.0.7:9080"`
	sampleEnds  = ` outbound|9080||productpage.bookinfo.svc.cluster.local 10.1.0.3:41854 10.2.0.1:9080 [fd00::3]:37652 outbound_.9080_._.productpage.bookinfo.svc.cluster.local`
	sampleTLS   = `"TLS error: 268435703:SSL routines" `
)

func TestAppend(t *testing.T) {
	tests := []struct {
		format *Format
		want   string
	}{
		{Istio11(), sampleHead + `"-" ` + sampleTLS + sampleSizes + sampleEnds},
		{Istio14(), sampleHead + `"-" ` + sampleTLS + sampleSizes + sampleEnds + " default"},
		{IstioCurrent(), sampleHead + `upstream_reset_before_response - ` + sampleTLS + sampleSizes + sampleEnds + " default"},
		{Envoy(), sampleHead + sampleSizes},
		{IstioCurrentJSON(), `{"authority":"productpage:9080","bytes_received":12,"bytes_sent":95,"connection_termination_details":null,` +
			`"downstream_local_address":"10.2.0.1:9080","downstream_remote_address":"[fd00::3]:37652","duration":4,"method":"GET",` +
			`"path":"/productpage?u=a b","protocol":"HTTP/1.1","request_id":"84961386",` +
			`"requested_server_name":"outbound_.9080_._.productpage.bookinfo.svc.cluster.local","response_code":503,` +
			`"response_code_details":"upstream reset before response","response_flags":"UC,URX","route_name":"default",` +
			`"start_time":"2020-11-25T21:26:18.409Z","upstream_cluster":"outbound|9080||productpage.bookinfo.svc.cluster.local",` +
			`"upstream_host":"10.1.0.7:9080","upstream_local_address":"10.1.0.3:41854","upstream_service_time":"3",` +
			`"upstream_transport_failure_reason":"TLS error: 268435703:SSL routines","user_agent":"curl/8 \"quoted\"","x_forwarded_for":"10.0.0.9"}`},
	}
	for _, tt := range tests {
		if got := string(tt.format.Append([]byte("x"), sample())); got != "x"+tt.want+"\n" {
			t.Errorf("%s:\n%swant\n%s", tt.format.Name(), got, tt.want)
		}
	}
}

func TestEmptyRecord(t *testing.T) {
	r := &Record{Start: start, Duration: Absent}
	want := `[2020-11-25T21:26:18.409Z] "- - -" 0 - - - "-" 0 0 - - "-" "-" "-" "-" "-" - - - - - -` + "\n"
	if got := string(IstioCurrent().Append(nil, r)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	got := string(Istio11JSON().Append(nil, r))
	for _, part := range []string{`"bytes_sent":"0"`, `"duration":"-"`, `"istio_policy_status":"-"`, `"response_flags":"-"`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s lacks %s", got, part)
		}
	}
}

// TestRoundTrip reads what each format writes, and names the format.
func TestRoundTrip(t *testing.T) {
	reader := NewReader()
	for _, f := range formats() {
		for name, r := range map[string]*Record{"sample": sample(), "empty": {Start: start, Duration: Absent}} {
			line := string(f.Append(nil, r))
			e, err := reader.Read(line)
			if err != nil || e.Format.Name() != f.Name() || e.Format.JSON() != f.JSON() {
				t.Errorf("%s, %s: read as %v, %v", f.Name(), name, e.Format, err)
				continue
			}
			if again := string(f.Append(nil, &e.Record)); again != line {
				t.Errorf("%s, %s:\n%sbecame\n%s", f.Name(), name, line, again)
			}
		}
	}
}

// TestReadOthers reads lines as Envoy writes them, from the documents of Istio and from issues.
func TestReadOthers(t *testing.T) {
	reader := NewReader()
	tests := []struct {
		name, line, format string
		check              func(*Record) bool
	}{
		{"current, inbound", `[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 outbound_.8000_._.httpbin.foo.svc.cluster.local default`,
			NameIstioCurrent, func(r *Record) bool {
				return r.Start.Equal(start) && r.ResponseCode == 418 && r.CodeDetails == "via_upstream" && r.Flags == 0 && r.Duration == 3*time.Millisecond
			}},
		{"current, connection without a chain", `[2023-01-02T03:04:05.006Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - 10.0.0.1:9080 10.0.0.2:4242 - -`,
			NameIstioCurrent, func(r *Record) bool {
				return r.Flags == NoRouteFound && r.Method == "" && r.UpstreamCluster == "" && r.CodeDetails == "filter_chain_not_found"
			}},
		{"current, TLS failure", `[2023-01-02T03:04:05.006Z] "GET / HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{connection_failure,TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end} - "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end" 0 268 72 - "-" "curl/7.85" "x" "foo:8000" "10.0.0.1:8000" outbound|8000||foo.bar.svc.cluster.local - 10.0.0.2:8000 10.0.0.3:5 - default`,
			NameIstioCurrent, func(r *Record) bool {
				return r.Flags == UpstreamConnectionFailure|UpstreamRetryLimitExceeded && strings.Contains(r.UpstreamTransportFailure, "WRONG_VERSION_NUMBER")
			}},
		{"1.1", `[2019-03-06T09:31:27.360Z] "GET /status/418 HTTP/1.1" 503 UC "-" "-" 0 95 5 - "-" "curl/7.64.0" "d209e46f" "httpbin:8000" "172.30.146.73:80" outbound|8000||httpbin.default.svc.cluster.local - 172.21.13.94:8000 172.30.146.82:60290 -`,
			NameIstio11, func(r *Record) bool { return r.Flags == UpstreamConnectionTermination && r.BytesSent == 95 }},
		{"1.4", `[2019-12-06T09:31:27.360Z] "GET / HTTP/1.1" 200 - "-" "-" 0 95 5 4 "-" "curl/7.64.0" "d209e46f" "httpbin:8000" "172.30.146.73:80" outbound|8000||httpbin.default.svc.cluster.local - 172.21.13.94:8000 172.30.146.82:60290 - default`,
			NameIstio14, func(r *Record) bool { return r.RouteName == "default" }},
		{"Envoy", `[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"`,
			NameEnvoy, func(r *Record) bool { return r.UpstreamServiceTime == "100" && r.UpstreamHost == "tcp://10.0.2.1:80" }},
		{"a backslash and a quote that were not escaped", `[2016-04-15T20:17:00.310Z] "GET / HTTP/1.1" 204 - 154 0 226 100 "-" "a\d "b" c" "-" "locations" "10.0.2.1:80"`,
			NameEnvoy, func(r *Record) bool { return r.UserAgent == `a\d "b" c` }},
		{"a flag of tomorrow", `[2016-04-15T20:17:00.310Z] "GET / HTTP/1.1" 204 UF,XYZ 154 0 226 100 "-" "-" "-" "locations" "10.0.2.1:80"`,
			NameEnvoy, func(r *Record) bool { return r.Flags == UpstreamConnectionFailure && r.OtherFlags == "XYZ" }},
	}
	for _, tt := range tests {
		e, err := reader.Read(tt.line + "\r\n")
		if err != nil || e.Format.Name() != tt.format {
			t.Errorf("%s: %v, %v", tt.name, e.Format, err)
			continue
		}
		if !tt.check(&e.Record) {
			t.Errorf("%s: read %+v", tt.name, e.Record)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	reader := NewReader()
	good := strings.TrimSuffix(string(IstioCurrent().Append(nil, sample())), "\n")
	object := strings.TrimSuffix(string(IstioCurrentJSON().Append(nil, sample())), "\n")
	for name, line := range map[string]string{
		"empty":              "",
		"prose":              "2024 info Envoy proxy is ready",
		"a column too many":  good + " more",
		"a column too few":   good[:strings.LastIndexByte(good, ' ')],
		"no such day":        strings.Replace(good, "2020-11-25", "2020-11-31", 1),
		"no such hour":       strings.Replace(good, "T21:", "T31:", 1),
		"code is no number":  strings.Replace(good, " 503 ", " five ", 1),
		"sizes are huge":     strings.Replace(good, " 12 95 ", " 12 99999999999999999999 ", 1),
		"negative duration":  strings.Replace(good, " 95 4 ", " 95 -4 ", 1),
		"half an object":     object[:len(object)-1],
		"object and more":    object + "{}",
		"key missing":        strings.Replace(object, `"method":"GET",`, "", 1),
		"key renamed":        strings.Replace(object, `"method"`, `"verb"`, 1),
		"key too many":       strings.Replace(object, `{`, `{"more":1,`, 1),
		"list in place of a": strings.Replace(object, `"GET"`, `["GET"]`, 1),
		"a list":             "[1]",
	} {
		if e, err := reader.Read(line); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, e.Format, err)
		}
	}
}

// TestForgery writes what clients would like to see in a log. One record stays one line with the columns that it has.
func TestForgery(t *testing.T) {
	evil := []string{
		"\n[2020-11-25T21:26:18.409Z] \"GET /forged HTTP/1.1\" 200 -",
		`x" 200 - "`, `\" 200`, "\r", "\x1b[2J", "\x00", "\xff\xfe", "\u202e", "\u2028", "\u0085", "a b c", `\x20`, `\`, `"`, "ü", "-",
		`","response_code":200,"x":"`,
	}
	for _, f := range formats() {
		columns := len(columnsOf(f.Append(nil, sample())))
		for _, s := range evil {
			r := sample()
			for _, to := range []*string{&r.Method, &r.Path, &r.Protocol, &r.UserAgent, &r.RequestID, &r.ForwardedFor, &r.Authority,
				&r.RequestedServerName, &r.UpstreamServiceTime, &r.CodeDetails, &r.RouteName, &r.UpstreamTransportFailure, &r.UpstreamCluster} {
				*to = s
			}
			line := string(f.Append(nil, r))
			if strings.Count(line, "\n") != 1 || strings.IndexFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e || r == 0x2028 || r == 0x85 }) >= 0 {
				t.Errorf("%s: %q is written as %q", f.Name(), s, line)
			}
			if got := len(columnsOf([]byte(line))); !f.JSON() && got != columns {
				t.Errorf("%s: %q makes %d columns of %d: %s", f.Name(), s, got, columns, line)
			}
			back, err := f.Parse(line)
			want := s
			if s == "-" {
				want = ""
			}
			if f.JSON() {
				want = strings.ToValidUTF8(strings.ReplaceAll(want, "\xff\xfe", "\ufffd\ufffd"), "")
			}
			if err != nil || back.UserAgent != want || back.Path != want || back.RequestedServerName != want && f.name != NameEnvoy {
				t.Errorf("%s: %q comes back as %q, %v", f.Name(), s, back.UserAgent, err)
			}
		}
	}
}

// columnsOf splits as awk would, quotes respected.
func columnsOf(line []byte) []string {
	var out []string
	quoted, begin := false, 0
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ' ' && !quoted:
			out = append(out, string(line[begin:i]))
			begin = i + 1
		}
	}
	return append(out, string(line[begin:]))
}

func TestFlags(t *testing.T) {
	for i := range flagNames {
		f := Flags(1) << i
		for which, name := range flagNames[i] {
			if read, other := splitFlags(name); read != f || other != "" || string(f.appendNames(nil, which)) != name {
				t.Errorf("%s is read as %s and %q, and written %s", name, read, other, f.appendNames(nil, which))
			}
		}
	}
	if UnconditionalDropOverload.String() != "UDO" || UpstreamConnectionFailure.String() != "UF" || Flags(0).String() != "-" {
		t.Error("names and bits are out of step")
	}
	if f, other := splitFlags("URX,UF,WHAT"); f.String() != "UF,URX" || other != "WHAT" {
		t.Errorf("%v, %q", f, other)
	}
	if f, other := splitFlags("-"); f != 0 || other != "" {
		t.Errorf("%v, %q", f, other)
	}
	if got := Flags(1 << 63).String(); got != "" {
		t.Errorf("a bit without a name is %q", got)
	}
}

func TestHeaders(t *testing.T) {
	f, err := ParseJSON(`{"a": "%REQ(X-B?X-A)% %REQ(X-A)%", "b": {"c": "%RESP(Content-Type)%", "d": "%TRAILER(x-t)%"}, "e": "%REQ(:PATH)%", "f": "%DYNAMIC_METADATA(a:b)%"}`)
	if err != nil {
		t.Fatal(err)
	}
	req, resp, trailers := f.Headers()
	if got, want := fmt.Sprint(req, resp, trailers), "[x-b x-a] [content-type] [x-t]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRecordIsWhole(t *testing.T) {
	// Every string of a record can be written by some operator: a field that no format reaches would be dead weight.
	reached := map[*string]bool{}
	var r Record
	for _, tables := range []map[string]func(*Record) *string{strOperators, requestFields, responseFields} {
		for _, at := range tables {
			reached[at(&r)] = true
		}
	}
	for _, v := range []reflect.Value{reflect.ValueOf(&r).Elem(), reflect.ValueOf(&r.Downstream).Elem(), reflect.ValueOf(&r.Upstream).Elem()} {
		for i := range v.NumField() {
			if p, ok := v.Field(i).Addr().Interface().(*string); ok && !reached[p] && v.Type().Field(i).Name != "OtherFlags" {
				t.Errorf("nothing writes %s", v.Type().Field(i).Name)
			}
		}
	}
}
