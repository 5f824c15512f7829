package xdsclient

import (
	"strings"
	"testing"
)

func TestCluster(t *testing.T) {
	const frame = `{"name": "c", %s}`
	http := func(o string) string {
		return `"typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {` + typeURL +
			`upstreams.http.v3.HttpProtocolOptions", ` + o + `}}`
	}
	policy := func(p string) string {
		return `"loadBalancingPolicy": {"policies": [{"typedExtensionConfig": {"name": "p", "typedConfig": {` + typeURL +
			`load_balancing_policies.` + p + `"}}}]}`
	}
	check(t, kindCluster, frame, []translateCase{
		{`"type": "EDS", "edsClusterConfig": {"edsConfig": {"ads": {}}}`, []string{"{Name:c Discovery:1 ALPNOverride:true}"}},
		{`"type": "EDS", "edsClusterConfig": {"edsConfig": {"path": "/x"}}`, []string{`! translate cluster "c": eds_config other than ads`}},
		{`"type": "ORIGINAL_DST", "lbPolicy": "CLUSTER_PROVIDED", "originalDstLbConfig": {"upstreamPortOverride": 81}`,
			[]string{"Discovery:4 ALPNOverride:true OriginalPort:81"}},
		{`"type": "ORIGINAL_DST", "originalDstLbConfig": {"useHttpHeader": true}`, []string{"! use_http_header is not supported"}},
		{`"clusterType": {"name": "x"}`, []string{"! Cluster.cluster_type is not supported"}},
		{`"lbSubsetConfig": {}`, []string{"! lb_subset_config is not supported"}},
		{`"connectTimeout": "3s", "lbPolicy": "LEAST_REQUEST", "dnsRefreshRate": "7s"`, []string{"Balancer:1 ConnectTimeout:3s DNSRefresh:7s"}},
		{`"lbPolicy": "RING_HASH", "ringHashLbConfig": {}`, []string{"{Name:c ALPN", "? Cluster.lb_policy RING_HASH"}},
		{policy("least_request.v3.LeastRequest"), []string{"Balancer:1"}},
		{policy("random.v3.Random"), []string{"Balancer:2"}},
		{policy("maglev.v3.Maglev"), []string{"? envoy.extensions.load_balancing_policies.maglev.v3.Maglev"}},
		{http(`"explicitHttpConfig": {"http2ProtocolOptions": {}}, "commonHttpProtocolOptions": {"idleTimeout": "9s", "maxRequestsPerConnection": 3}`),
			[]string{"IdleTimeout:9s MaxRequestsPerConnection:3 HTTP2:true"}},
		{http(`"explicitHttpConfig": {"http3ProtocolOptions": {}}`), []string{"! http3_protocol_options is not supported"}},
		{http(`"useDownstreamProtocolConfig": {"http2ProtocolOptions": {}}`), []string{"{Name:c ALPNOverride:true}"}},
		{`"upstreamBindConfig": {"sourceAddress": {"address": "127.0.0.6", "portValue": 0}}`, []string{"BindSource:127.0.0.6"}},
		{`"upstreamBindConfig": {"sourceAddress": {"address": "127.0.0.6", "portValue": 5}}`, []string{"! with port 5 is not supported"}},
		{`"upstreamConnectionOptions": {"tcpKeepalive": {"keepaliveProbes": 3, "keepaliveTime": 60, "keepaliveInterval": 10}}`,
			[]string{"KeepAlive:{Probes:3 Time:1m0s Interval:10s}"}},
		{`"filters": [{"name": "x", "typedConfig": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "typeUrl": "a/b.C"}}]`,
			[]string{`! filter "x": b.C is not supported`}},
		{`"metadata": {"filterMetadata": {"istio": {"config": "/apis/x", "alpn_override": "false",
			"services": [{"host": "h", "name": "n", "namespace": "ns"}]}, "oarlock": {"policy": "DestinationRule a/b"}}}`,
			[]string{"{Name:c Services:[{Host:h Name:n Namespace:ns}] Rule:/apis/x Policy:DestinationRule a/b}"}},
	})
}

func TestLimits(t *testing.T) {
	const frame = `{"name": "c", %s}`
	check(t, kindCluster, frame, []translateCase{
		{`"circuitBreakers": {"thresholds": [{"maxConnections": 1, "maxPendingRequests": 2, "maxRequests": 3, "maxRetries": 4},
			{"priority": "HIGH", "maxConnections": 9}]}`,
			[]string{"Limits:{Connections:1 Pending:2 Requests:3 Retries:4}", "? CircuitBreakers.thresholds of priority HIGH"}},
		{`"circuitBreakers": {"thresholds": [{"maxRetries": 0}]}`, []string{"! max_retries of 0 is not supported"}},
		{`"circuitBreakers": {"perHostThresholds": [{}]}`, []string{"! per_host_thresholds is not supported"}},
		{`"outlierDetection": {}`, []string{"Outlier:{Consecutive5xx:5 MinHealthPercent:50}", "? OutlierDetection.success_rate"}},
		{`"outlierDetection": {"consecutive5xx": 7, "interval": "1s", "baseEjectionTime": "2s", "maxEjectionTime": "3s", "maxEjectionPercent": 0,
			"consecutiveGatewayFailure": 3, "enforcingConsecutiveGatewayFailure": 100, "enforcingSuccessRate": 0},
			"commonLbConfig": {"healthyPanicThreshold": {"value": 20}}`,
			[]string{"{Consecutive5xx:7 ConsecutiveGateway:3 Interval:1s BaseEjection:2s MaxEjection:3s MaxEjectionPercent:0 MinHealthPercent:20}"}},
		{`"outlierDetection": {"splitExternalLocalOriginErrors": true, "enforcingConsecutive5xx": 0}`,
			[]string{"Outlier:{ConsecutiveLocal:5 SplitLocal:true MinHealthPercent:50}"}},
		{`"outlierDetection": {"enforcingConsecutive5xx": 50}`, []string{"? OutlierDetection.enforcing below 100"}},
	})
}

func TestEndpoints(t *testing.T) {
	const frame = `{"clusterName": "e", "endpoints": [{"locality": {"zone": "z"}, "priority": 1, "lbEndpoints": [%s]}]}`
	at := func(address, more string) string {
		return `{"endpoint": {"address": {"socketAddress": {"address": "` + address + `", "portValue": 8080}}}` + more + `}`
	}
	check(t, kindEndpoints, frame, []translateCase{
		{at("10.0.0.1", `, "loadBalancingWeight": 3, "healthStatus": "DRAINING", "metadata": {"filterMetadata": {
			"envoy.transport_socket_match": {"tlsMode": "istio"}, "istio": {"workload": "web-1;app;web;v1;Kubernetes"}}}`),
			[]string{"{Address:10.0.0.1:8080 Labels:map[tlsMode:istio] Weight:3 Down:true Workload:{Workload:web-1 Namespace:app " +
				"CanonicalService:web CanonicalRevision:v1 Cluster:Kubernetes} Priority:1 Zone:z}"}},
		{at("10.0.0.1", `, "healthStatus": "DEGRADED"`), []string{"[{Address:10.0.0.1:8080 Priority:1 Zone:z}]"}},
		{at("web.app", ""), []string{`! translate endpoints "e": endpoint 0: address`}},
		{`{"endpoint": {"address": {"pipe": {"path": "/x"}}}}`, []string{"! only socket_address"}},
		{`{"endpoint": {"address": {"envoyInternalAddress": {"serverListenerName": "x"}}}}`, []string{"! only socket_address"}},
		{`{"endpointName": "x"}`, []string{"! LbEndpoint.endpoint_name is not supported"}},
	})
	check(t, kindCluster, `{"name": "c", "type": "STRICT_DNS", "loadAssignment": {"endpoints": [{"lbEndpoints": [%s]}]}}`, []translateCase{
		{at("web.app", ""), []string{"Discovery:2 Endpoints:[{Address:invalid AddrPort Host:web.app}]"}},
		{at("10.0.0.1", ""), []string{"Endpoints:[{Address:10.0.0.1:8080}]"}},
	})
	check(t, kindCluster, `{"name": "c", "type": "STATIC", "loadAssignment": {"endpoints": [{"lbEndpoints": [%s]}]}}`, []translateCase{
		{at("web.app", ""), []string{"! address"}},
	})
}

// socket is a transport socket with a TLS context.
func socket(side, common, more string) string {
	return `"transportSocket": {"name": "t", "typedConfig": {` + typeURL + `transport_sockets.tls.v3.` + side + `TlsContext",
		"commonTlsContext": {` + common + `}` + more + `}}`
}

func TestClientTLS(t *testing.T) {
	const frame = `{"name": "c", %s}`
	up := func(common string) string { return socket("Upstream", common, `, "sni": "s"`) }
	combined := func(names, secret string) string {
		return up(`"combinedValidationContext": {"defaultValidationContext": {` + names +
			`}, "validationContextSdsSecretConfig": {"name": "` + secret + `"}}`)
	}
	check(t, kindCluster, frame, []translateCase{
		{`"transportSocket": {"name": "envoy.transport_sockets.raw_buffer"}`, []string{"{Name:c ALPNOverride:true}"}},
		{`"transportSocket": {"name": "envoy.transport_sockets.starttls"}`, []string{"! transport socket: envoy.transport_sockets.starttls is not"}},
		{`"transportSocket": {"name": "q", "typedConfig": {` + typeURL + `transport_sockets.quic.v3.QuicUpstreamTransport"}}`,
			[]string{"! QuicUpstreamTransport is not supported"}},
		{up(`"tlsCertificateSdsSecretConfigs": [{"name": "default"}], "alpnProtocols": ["istio"]`),
			[]string{"TLS:{Certificate:{Own:true} SNI:s ALPN:[istio]}"}},
		{up(`"tlsCertificateSdsSecretConfigs": [{"name": "file-cert:/c~/k"}]`), []string{"Certificate:{CertFile:/c KeyFile:/k}"}},
		{up(`"tlsCertificateSdsSecretConfigs": [{"name": "kubernetes://gate"}]`),
			[]string{`! translate cluster "c": transport socket: secret "kubernetes://gate": the sidecar has no such certificate`}},
		{up(`"tlsCertificates": [{"certificateChain": {"filename": "/c"}, "privateKey": {"filename": "/k"}}]`),
			[]string{"Certificate:{CertFile:/c KeyFile:/k}"}},
		{up(`"tlsCertificates": [{"certificateChain": {"filename": "/c"}, "privateKey": {"inlineString": "k"}}]`), []string{"! only files"}},
		{combined(`"matchSubjectAltNames": [{"exact": "spiffe://a/b"}]`, "ROOTCA"), []string{"Trust:{Own:true} Peers:[{Value:spiffe://a/b}]"}},
		{combined(`"matchTypedSubjectAltNames": [{"sanType": "DNS", "matcher": {"exact": "a"}}]`, "file-root:system"),
			[]string{"Trust:{System:true} Peers:[{Value:a}]"}},
		{combined(`"matchTypedSubjectAltNames": [{"sanType": "EMAIL", "matcher": {"exact": "a"}}]`, "ROOTCA"), []string{"! san_type EMAIL"}},
		{combined(`"matchSubjectAltNames": [{"suffix": "a"}]`, "ROOTCA"), []string{"! only exact and prefix"}},
		{combined(``, "file-root:/r"), []string{"Trust:{RootFile:/r}"}},
		{combined(``, "elsewhere"), []string{`! secret "elsewhere": the sidecar has no such roots`}},
		{combined(`"crl": {"filename": "/x"}`, "ROOTCA"), []string{"! CertificateValidationContext.crl is not supported"}},
		{combined(`"verifyCertificateHash": ["x"]`, "ROOTCA"), []string{"! verify_certificate_hash is not supported"}},
		{combined(`"trustChainVerification": "ACCEPT_UNTRUSTED"`, "ROOTCA"), []string{"! trust_chain_verification is not supported"}},
		{up(`"validationContext": {"trustedCa": {"filename": "/r"}}`), []string{"Trust:{RootFile:/r}"}},
		{up(`"validationContext": {"trustedCa": {"inlineString": "r"}}`), []string{"! trusted_ca: only a file"}},
		{up(`"validationContext": {"matchSubjectAltNames": [{"exact": "a"}]}`), []string{"Peers:[{Value:a}]"}},
		{up(`"tlsParams": {"tlsMinimumProtocolVersion": "TLSv1_1", "tlsMaximumProtocolVersion": "TLSv1_3"}`),
			[]string{"MinVersion:771 MaxVersion:772", "? TlsParameters version TLSv1_1"}},
		{up(`"tlsParams": {"cipherSuites": ["[ECDHE-RSA-AES128-GCM-SHA256|NOPE]"]}`),
			[]string{"CipherSuites:[49199]", "? TlsParameters.cipher_suites NOPE"}},
		{up(`"tlsParams": {"cipherSuites": ["NOPE"]}`), []string{"! none of NOPE is supported"}},
		{`"transportSocketMatches": [{"name": "m", "match": {"tlsMode": "istio"}, ` + up(``) + `}, {"name": "plain"}]`,
			[]string{"Sockets:[{Name:m Labels:map[tlsMode:istio] TLS:{SNI:s}} {Name:plain}]"}},
		{`"transportSocketMatches": [{"name": "m", "match": {"tlsMode": 1}}]`, []string{`! transport socket match "m": only texts`}},
	})
}

func TestServerTLS(t *testing.T) {
	const frame = `{"name": "l", "address": {"socketAddress": {"address": "::1", "portValue": 1}}, "filterChains": [{"filters": [` +
		tcpFilter + `], %s}]}`
	own := `"tlsCertificateSdsSecretConfigs": [{"name": "default"}]`
	trust := `, "validationContextSdsSecretConfig": {"name": "ROOTCA"}`
	check(t, kindListener, frame, []translateCase{
		{socket("Downstream", own+trust, `, "requireClientCertificate": true`), []string{"TLS:{Certificate:{Own:true} Trust:{Own:true} Require:true}"}},
		{socket("Downstream", own, ``), []string{"TLS:{Certificate:{Own:true}}"}},
		{socket("Downstream", own, `, "requireClientCertificate": true`), []string{"! would believe any certificate"}},
		{socket("Downstream", own, `, "ocspStaplePolicy": "MUST_STAPLE"`), []string{"! ocsp_staple_policy is not supported"}},
		{socket("Downstream", trust[2:], ``), []string{"! filter chain 0: transport socket: there is no certificate"}},
		{socket("Upstream", own, ``), []string{"! decode envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"}},
	})
}

// TestAutoNames holds that a socket without a name of its own has the cluster's host, and is checked by it.
func TestAutoNames(t *testing.T) {
	const auto = `"typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {` + typeURL +
		`upstreams.http.v3.HttpProtocolOptions", "explicitHttpConfig": {"httpProtocolOptions": {}},
		"upstreamHttpProtocolOptions": {"autoSni": true, "autoSanValidation": true}}}, `
	host := func(h string) string {
		return `"metadata": {"filterMetadata": {"istio": {"services": [{"host": "` + h + `"}]}}}, `
	}
	tls := socket("Upstream", `"validationContextSdsSecretConfig": {"name": "file-root:system"}`, ``)
	dns := `"type": "STRICT_DNS", "loadAssignment": {"endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress":
		{"address": "b.org", "portValue": 1}}}}]}]}, `
	check(t, kindCluster, `{"name": "c", `+auto+`%s}`, []translateCase{
		{host("a.org") + tls, []string{"TLS:{Trust:{System:true} Peers:[{Value:a.org}] SNI:a.org}"}},
		{dns + tls, []string{"Peers:[{Value:b.org}] SNI:b.org"}},
		{host("*.a.org") + tls, []string{"! auto_sni for no known host"}},
		{host("a.org") + strings.Replace(tls, `"sni"`, ``, 1) + `, "connectTimeout": "1s"`, []string{"SNI:a.org"}},
		{`"connectTimeout": "1s"`, []string{"ConnectTimeout:1s"}},
	})
}

func TestAccessLog(t *testing.T) {
	const frame = `{"name": "l", "address": {"socketAddress": {"address": "::1", "portValue": 1}}, "filterChains": [{"filters": [` +
		tcpFilter + `]}], "accessLog": [{"name": "a", %s}]}`
	file := func(f string) string {
		return `"typedConfig": {` + typeURL + `access_loggers.file.v3.FileAccessLog", "path": "/x"` + f + `}`
	}
	const nr = `"filter": {"responseFlagFilter": {"flags": ["NR"]}}, `
	check(t, kindListener, frame, []translateCase{
		{nr + file(``), []string{"AccessLog:[{Path:/x (default format)}]"}},
		{nr + file(`, "logFormat": {"textFormatSource": {"inlineString": "%%PROTOCOL%%"}}`), []string{"AccessLog:[{Path:/x}]"}},
		{nr + file(`, "logFormat": {"jsonFormat": {"a": "%%PROTOCOL%%"}}`), []string{"AccessLog:[{Path:/x}]"}},
		{nr + file(`, "logFormat": {"textFormatSource": {"filename": "/y"}}`), []string{"! only inline text"}},
		{file(``), []string{"? Listener.access_log of every connection"}},
		{`"filter": {"notHealthCheckFilter": {}}, ` + file(``), []string{"? Listener.access_log with another filter"}},
		{nr + `"typedConfig": {` + typeURL + `access_loggers.stream.v3.StdoutAccessLog"}`, []string{"Path:/dev/stdout (default format)"}},
		{nr + `"typedConfig": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "typeUrl": "a/b.C"}`, []string{"? b.C"}},
	})
}
