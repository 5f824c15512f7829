package xdsclient

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// fromJSON translates a resource written as JSON.
func fromJSON(t testing.TB, k kind, text string) (*resource, error) {
	t.Helper()
	m := [...]proto.Message{
		&clusterv3.Cluster{}, &endpointv3.ClusterLoadAssignment{}, &listenerv3.Listener{}, &routev3.RouteConfiguration{},
	}[k]
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	raw, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return translate(k, raw, testLogs, nil)
}

// show prints what became of a resource.
func (r *resource) show() string {
	switch {
	case r.cluster != nil:
		return short(*r.cluster)
	case r.listener != nil:
		return short(*r.listener)
	case r.routes != nil:
		return short(*r.routes)
	}
	return short(r.endpoints)
}

// A case has what is wanted: parts of the translation, or of the error if it begins with "! "; "? " begins what must be
// among the ignored.
type translateCase struct {
	json string
	want []string
}

func check(t *testing.T, k kind, frame string, cases []translateCase) {
	t.Helper()
	for _, c := range cases {
		text := fmt.Sprintf(frame, c.json)
		r, err := fromJSON(t, k, text)
		for _, want := range c.want {
			refusal, isError := strings.CutPrefix(want, "! ")
			left, isIgnored := strings.CutPrefix(want, "? ")
			switch {
			case isError && (err == nil || !strings.Contains(err.Error(), refusal)):
				t.Errorf("%s\n  error %v\n  want  %s", c.json, err, refusal)
			case !isError && err != nil:
				t.Errorf("%s\n  error %v", c.json, err)
			case isIgnored && !slices.Contains(r.ignored, left):
				t.Errorf("%s\n  ignored %q\n  want %s", c.json, r.ignored, left)
			case !isError && !isIgnored && !strings.Contains(r.show(), want):
				t.Errorf("%s\n  got  %s\n  want %s", c.json, r.show(), want)
			}
		}
	}
}

const (
	typeURL   = `"@type": "type.googleapis.com/envoy.extensions.`
	tcpFilter = `{"name": "tcp", "typedConfig": {` + typeURL + `filters.network.tcp_proxy.v3.TcpProxy", "statPrefix": "s", "cluster": "c"}}`
	router    = `{"name": "r", "typedConfig": {` + typeURL + `filters.http.router.v3.Router"}}`
)

func TestListener(t *testing.T) {
	const frame = `{"name": "l", "address": {"socketAddress": {"address": "0.0.0.0", "portValue": 15006}}, %s}`
	chains := `"filterChains": [{"filters": [` + tcpFilter + `]}]`
	filter := func(name, disabled string) string {
		return `"listenerFilters": [{"name": "x", "typedConfig": {` + typeURL + `filters.listener.` + name + `"}` + disabled + `}], ` + chains
	}
	disabled := func(rule string) string {
		return filter("http_inspector.v3.HttpInspector", `, "filterDisabled": `+rule)
	}
	check(t, kindListener, frame, []translateCase{
		{chains, []string{"Address:0.0.0.0:15006 Bind:true InspectTimeout:15s Chains:[{TCP:{StatPrefix:s Clusters:[{Name:c Weight:1}]}}]"}},
		{`"bindToPort": false, "trafficDirection": "INBOUND", ` + chains, []string{"{Name:l Direction:inbound Address:0.0.0.0:15006 Insp"}},
		{`"useOriginalDst": true, ` + chains, []string{"OriginalDst:true UseOriginalDst:true"}},
		{`"listenerFiltersTimeout": "0s", ` + chains, []string{"InspectTimeout:-1ns"}},
		{`"listenerFiltersTimeout": "0.1s", ` + chains, []string{"InspectTimeout:100ms"}},
		{filter("original_dst.v3.OriginalDst", ""), []string{" OriginalDst:true", "? Listener.continue_on_listener_filters_timeout=false"}},
		{filter("tls_inspector.v3.TlsInspector", ""), []string{"InspectTLS:{On:true}"}},
		{disabled(`{"anyMatch": true}`), []string{"{Name:l Address:0.0.0.0:15006 Bind:true InspectTimeout"}},
		{disabled(`{"destinationPortRange": {"start": 80, "end": 90}}`), []string{"InspectHTTP:{On:true Except:[[80 89]]}"}},
		{disabled(`{"orMatch": {"rules": [{"destinationPortRange": {"start": 1, "end": 2}}, {"anyMatch": true}]}}`),
			[]string{"InspectHTTP:{Except:[[1 1]]}"}},
		{disabled(`{"notMatch": {"anyMatch": true}}`), []string{"! NotMatch is not supported"}},
		{disabled(`{"destinationPortRange": {"start": 9, "end": 9}}`), []string{"! range 9 to 9 is none"}},
		{`"listenerFilters": [{"name": "envoy.filters.listener.proxy_protocol"}], ` + chains, []string{"! proxy_protocol is not supported"}},
		{`"listenerFilters": [{"name": "x", "configDiscovery": {}}], ` + chains, []string{"! config_discovery is not supported"}},
		{`"statPrefix": "x", ` + chains, []string{"? Listener.stat_prefix"}},
		{`"additionalAddresses": [{}], "udpListenerConfig": {}, ` + chains,
			[]string{`! translate listener "l": Listener.additional_addresses, udp_listener_config is not supported`}},
	})
	check(t, kindListener, `%s`, []translateCase{
		{`{}`, []string{"! has no name"}},
		{`{"name": "p", "address": {"pipe": {"path": "/x"}}}`, []string{`! translate listener "p": address: only socket_address`}},
		{`{"name": "h", "address": {"socketAddress": {"address": "example.org", "portValue": 1}}}`, []string{`! address: `}},
		{`{"name": "u", "address": {"socketAddress": {"protocol": "UDP", "address": "::", "portValue": 1}}}`, []string{`! UDP is not supported`}},
		{`{"name": "v6", "address": {"socketAddress": {"address": "::", "portValue": 1}}}`, []string{`Address:[::]:1`}},
	})
}

func TestChain(t *testing.T) {
	const frame = `{"name": "l", "address": {"socketAddress": {"address": "::1", "portValue": 1}}, "filterChains": [{}, {%s}]}`
	refused := []translateCase{{`"filters": []`, []string{`! translate listener "l": filter chain 0: filters: there is neither`}}}
	check(t, kindListener, frame, refused)

	const one = `{"name": "l", "address": {"socketAddress": {"address": "::1", "portValue": 1}}, "filterChains": [{%s}]}`
	match := func(m string) string { return `"filterChainMatch": {` + m + `}, "filters": [` + tcpFilter + `]` }
	check(t, kindListener, one, []translateCase{
		{match(`"destinationPort": 80, "transportProtocol": "tls", "applicationProtocols": ["istio"], "serverNames": ["*.a"],
			"prefixRanges": [{"addressPrefix": "10.1.2.3", "prefixLen": 8}]`),
			[]string{"Match:{Port:80 Prefixes:[10.0.0.0/8] Names:[*.a] Transport:tls ALPN:[istio]}"}},
		{match(`"sourcePorts": [1]`), []string{"! FilterChainMatch.source_ports is not supported"}},
		{match(`"transportProtocol": "quic"`), []string{`! "quic" is not supported`}},
		{match(`"prefixRanges": [{"addressPrefix": "10.1.2.3", "prefixLen": 33}]`), []string{`! prefix_ranges`}},
		{`"metadata": {"filterMetadata": {"oarlock": {"policy": "PeerAuthentication a/b"}}}, "filters": [` + tcpFilter + `]`,
			[]string{"Policy:PeerAuthentication a/b"}},
		{`"filters": [{"name": "x", "typedConfig": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "typeUrl": "a/` +
			urlPeerExchange + `"}}, ` + tcpFilter + `]`, []string{"PeerExchange:true"}},
		{`"filters": [{"name": "x", "typedConfig": {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "typeUrl": "a/` +
			urlStats + `"}}, ` + tcpFilter + `]`, []string{"? " + urlStats}},
		{`"filters": [{"name": "x", "typedConfig": {` + typeURL + `filters.network.rbac.v3.RBAC"}}, ` + tcpFilter + `]`,
			[]string{`! filter chain 0: filter "x": envoy.extensions.filters.network.rbac.v3.RBAC is not supported`}},
		{`"filters": [` + tcpFilter + `, ` + tcpFilter + `]`, []string{"! must be the last"}},
		{`"filters": [{"name": "t", "typedConfig": {` + typeURL + `filters.network.tcp_proxy.v3.TcpProxy", "idleTimeout": "0s",
			"weightedClusters": {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]}}}]`,
			[]string{"Clusters:[{Name:a Weight:3} {Name:b Weight:1}] IdleTimeout:-1ns"}},
		{`"filters": [{"name": "t", "typedConfig": {` + typeURL + `filters.network.tcp_proxy.v3.TcpProxy", "cluster": "c",
			"tunnelingConfig": {}}}]`, []string{"! TcpProxy.tunneling_config is not supported"}},
	})
}

func TestManager(t *testing.T) {
	const frame = `{"name": "l", "address": {"socketAddress": {"address": "::1", "portValue": 1}}, "filterChains": [{"filters": [{
		"name": "hcm", "typedConfig": {` + typeURL + `filters.network.http_connection_manager.v3.HttpConnectionManager", %s}}]}]}`
	rds := `"rds": {"routeConfigName": "80", "configSource": {"ads": {}}}`
	filters := func(f string) string { return rds + `, "httpFilters": [` + f + router + `]` }
	with := func(s string) string { return filters("") + ", " + s }
	check(t, kindListener, frame, []translateCase{
		{filters(""), []string{"HTTP:{RouteName:80}"}},
		{rds, []string{"! there is no router"}},
		{rds + `, "httpFilters": [` + router + `, ` + router + `]`, []string{"! must be the last"}},
		{`"httpFilters": [` + router + `]`, []string{"! neither rds nor route_config"}},
		{`"routeConfig": {"name": "t", "virtualHosts": [{"name": "v", "domains": ["*"]}]}, "httpFilters": [` + router + `]`,
			[]string{"Table:{Name:t Hosts:[{Name:v Domains:[*]}]}"}},
		{`"rds": {"routeConfigName": "80", "configSource": {"path": "/x"}}, "httpFilters": [` + router + `]`, []string{"! other than ads"}},
		{filters(`{"name": "f", "typedConfig": {` + typeURL + `filters.http.fault.v3.HTTPFault"}}, `),
			[]string{"? envoy.extensions.filters.http.fault.v3.HTTPFault"}},
		{filters(`{"name": "f", "typedConfig": {` + typeURL + `filters.http.fault.v3.HTTPFault", "abort": {"httpStatus": 500}}}, `),
			[]string{`! http filter "f": envoy.extensions.filters.http.fault.v3.HTTPFault with a configuration`}},
		{filters(`{"name": "f", "typedConfig": {` + typeURL + `filters.http.rbac.v3.RBAC"}}, `), []string{"! rbac.v3.RBAC is not supported"}},
		{filters(`{"name": "f", "isOptional": true, "typedConfig": {` + typeURL + `filters.http.rbac.v3.RBAC"}}, `),
			[]string{"? envoy.extensions.filters.http.rbac.v3.RBAC"}},
		{filters(`{"name": "f", "disabled": true, "typedConfig": {` + typeURL + `filters.http.rbac.v3.RBAC"}}, `),
			[]string{"? HttpFilter.disabled"}},
		{with(`"streamIdleTimeout": "0s", "requestHeadersTimeout": "3s", "maxRequestHeadersKb": 16, "serverName": "x"`),
			[]string{"ServerName:x", "StreamIdleTimeout:-1ns HeaderTimeout:3s MaxHeaderSize:16384"}},
		{with(`"commonHttpProtocolOptions": {"idleTimeout": "9s", "maxHeadersCount": 7}`), []string{"IdleTimeout:9s MaxHeaders:7"}},
		{with(`"commonHttpProtocolOptions": {"headersWithUnderscoresAction": "REJECT_REQUEST"}`),
			[]string{"! HttpProtocolOptions.headers_with_underscores_action is not supported"}},
		{with(`"serverHeaderTransformation": "PASS_THROUGH", "useRemoteAddress": true, "forwardClientCertDetails": "APPEND_FORWARD",
			"upgradeConfigs": [{"upgradeType": "websocket"}, {"upgradeType": "x", "enabled": false}]`),
			[]string{"PassServerName:true", "Upgrades:[websocket] ClientCert:2 RemoteAddress:true"}},
		{with(`"forwardClientCertDetails": "ALWAYS_FORWARD_ONLY"`), []string{"! ALWAYS_FORWARD_ONLY is not supported"}},
		{with(`"upgradeConfigs": [{"upgradeType": "CONNECT"}]`), []string{"! CONNECT is not supported"}},
		{with(`"codecType": "HTTP3"`), []string{"! HTTP3 is not supported"}},
		{with(`"tracing": {}, "normalizePath": true, "mergeSlashes": true`), []string{"? HttpConnectionManager.tracing", "NormalizePath:true MergeSlashes:true"}},
	})
}

func TestRoutes(t *testing.T) {
	const frame = `{"name": "t", "virtualHosts": [{"name": "v", "domains": ["*"], "routes": [{%s}]}]}`
	to := `"route": {"cluster": "c"}`
	match := func(m string) string { return `"match": {` + m + `}, ` + to }
	action := func(a string) string { return `"match": {"prefix": "/"}, "route": {"cluster": "c", ` + a + `}` }
	header := func(h string) string { return match(`"prefix": "/", "headers": [{"name": "x", ` + h + `}]`) }
	check(t, kindRoutes, frame, []translateCase{
		{match(`"prefix": "/a"`), []string{"{Match:{Prefix:/a} Clusters:[{Name:c Weight:1}] Timeout:15s}"}},
		{match(`"path": "/a", "caseSensitive": false`), []string{"Match:{Path:/a IgnoreCase:true}"}},
		{match(`"pathSeparatedPrefix": "/a.b"`), []string{`Match:{Regex:/a\.b(/.*)?}`}},
		{match(`"safeRegex": {"regex": "["}`), []string{`! virtual host "v": route 0 "": match: regex: `}},
		{match(`"prefix": "/", "queryParameters": [{"name": "q"}]`), []string{"! RouteMatch.query_parameters is not supported"}},
		{header(`"stringMatch": {"exact": "e"}`), []string{"Headers:[{Name:x Exact:e}]"}},
		{header(`"stringMatch": {"prefix": "e", "ignoreCase": true}`), []string{"Regex:(?i)(?s)e.*"}},
		{header(`"stringMatch": {"contains": "a.b"}`), []string{`Regex:(?s).*a\.b.*`}},
		{header(`"stringMatch": {"exact": "e"}, "invertMatch": true`), []string{"Headers:[{Name:x} {Name:x Exact:e Invert:true}]"}},
		{header(`"stringMatch": {"exact": "e"}, "invertMatch": true, "treatMissingHeaderAsEmpty": true`),
			[]string{"Headers:[{Name:x Exact:e Invert:true}]"}},
		{header(`"presentMatch": true`), []string{"Headers:[{Name:x}]"}},
		{header(`"presentMatch": false`), []string{"Headers:[{Name:x Invert:true}]"}},
		{header(`"presentMatch": true, "invertMatch": true`), []string{"Headers:[{Name:x Invert:true}]"}},
		{header(`"rangeMatch": {"start": 1, "end": 2}`), []string{"! HeaderMatcher.range_match is not supported"}},
		{header(`"stringMatch": {"exact": ""}`), []string{"! an empty pattern"}},
		{action(`"timeout": "0s", "idleTimeout": "0s", "prefixRewrite": "/b", "hostRewriteLiteral": "h"`),
			[]string{"IdleTimeout:-1ns PrefixRewrite:/b HostRewrite:h"}},
		{action(`"timeout": "9s", "maxStreamDuration": {"maxStreamDuration": "4s"}`), []string{"Timeout:4s"}},
		{action(`"requestMirrorPolicies": [{"cluster": "m"}]`), []string{"! RouteAction.request_mirror_policies is not supported"}},
		{action(`"hashPolicy": [{}]`), []string{"? RouteAction.hash_policy"}},
		{action(`"retryPolicy": {"retryOn": "5xx, 503,cancelled", "retriableStatusCodes": [409], "retryBackOff": {"baseInterval": "1s"}}`),
			[]string{"Retry:{On:48 Codes:[409 503] Attempts:1 Backoff:1s}", "? RetryPolicy.retry_on cancelled"}},
		{action(`"autoHostRewrite": true`), []string{"! RouteAction.auto_host_rewrite is not supported"}},
		{`"match": {"prefix": "/"}, "route": {"weightedClusters": {"clusters": [{"name": "a", "weight": 9}, {"name": "b", "weight": 0}]}}`,
			[]string{"Clusters:[{Name:a Weight:9} {Name:b}]"}},
		{`"match": {"prefix": "/"}, "route": {"clusterHeader": "h"}`, []string{"! RouteAction.cluster_header is not supported"}},
		{`"match": {"prefix": "/"}, "redirect": {"httpsRedirect": true, "hostRedirect": "h", "portRedirect": 8443, "responseCode": "FOUND"}`,
			[]string{"Redirect:{Status:302 Scheme:https Host:h:8443}"}},
		{`"match": {"prefix": "/"}, "redirect": {"stripQuery": true}`, []string{"! strip_query is not supported"}},
		{`"match": {"prefix": "/"}, "directResponse": {"status": 502, "body": {"inlineString": "no"}}`, []string{"Direct:{Status:502 Body:no}"}},
		{`"match": {"prefix": "/"}, "directResponse": {"status": 502, "body": {"filename": "/etc/passwd"}}`, []string{"! only an inline body"}},
		{`"match": {"prefix": "/"}`, []string{"! it has no action"}},
		{match(`"prefix": "/"`) + `, "typedPerFilterConfig": {"f": {` + typeURL + `filters.http.cors.v3.CorsPolicy", "allowMethods": "GET"}}`,
			[]string{`! typed_per_filter_config "f": envoy.extensions.filters.http.cors.v3.CorsPolicy is not supported`}},
	})
}

func TestRouteHeaders(t *testing.T) {
	set := func(name, more string) string {
		return `"requestHeadersToAdd": [{"header": {"key": "` + name + `", "value": "1%%%%"}` + more + `}]`
	}
	check(t, kindRoutes, `{"name": "t", %s`+set("table", "")+`, "virtualHosts": [{"name": "v", "domains": ["*"], `+
		set("host", `, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"`)+`, "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}, `+
		set("route", `, "append": false`)+`}]}]}`, []translateCase{
		{"", []string{"SetRequest:[{Name:route Value:1%} {Name:host Value:1%} {Name:table Value:1% Append:true}]"}},
	})
	check(t, kindRoutes, `{"name": "t", "responseHeadersToAdd": [{"header": {"key": "k", "value": "%s"}}]}`, []translateCase{
		{"%PROTOCOL%", []string{`! response_headers_to_add: "k": command operators are not supported`}},
	})
	check(t, kindRoutes, `{"name": "t", "virtualHosts": [{"name": "v", "domains": ["*"], "requireTls": "%s"}]}`, []translateCase{
		{"ALL", []string{"Routes:[{Name:require_tls Match:{Prefix:/} Redirect:{Scheme:https}}]"}},
		{"EXTERNAL_ONLY", []string{"! EXTERNAL_ONLY is not supported"}},
	})
}

// TestUnknownField counts a field that this build has never heard of.
func TestUnknownField(t *testing.T) {
	b, err := proto.Marshal(&clusterv3.Cluster{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, 5000, protowire.VarintType), 1)
	r, err := translate(kindCluster, &anypb.Any{TypeUrl: ClusterType, Value: b}, nil, nil)
	if err != nil || !slices.Equal(r.ignored, []string{"Cluster.5000"}) {
		t.Errorf("%v, ignored %v", err, r)
	}
	if nameOf(b) != "c" {
		t.Errorf("name %q", nameOf(b))
	}
	if _, err := translate(kindCluster, &anypb.Any{TypeUrl: ListenerType, Value: b}, nil, nil); err == nil {
		t.Error("a listener was taken for a cluster")
	}
}

// FuzzTranslate looks for bytes that make the translation panic; what it takes has a name.
func FuzzTranslate(f *testing.F) {
	for _, scenario := range []string{"permissive", "gateway", "refused"} {
		for k, resp := range recorded(f, scenario) {
			for _, raw := range resp.Resources {
				f.Add(k, raw.Value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, k int, b []byte) {
		if k < 0 || k >= int(kinds) {
			return
		}
		r, err := translate(kind(k), &anypb.Any{TypeUrl: kind(k).url(), Value: b}, testLogs, nil)
		if err == nil && r.name != nameOf(b) {
			t.Errorf("name %q, and %q", r.name, nameOf(b))
		}
	})
}
