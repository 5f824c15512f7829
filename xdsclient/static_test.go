package xdsclient

import (
	"strings"
	"testing"
)

const staticText = `{
  "listeners": [{
    "name": "in", "address": {"socketAddress": {"address": "127.0.0.1", "portValue": 8443}},
    "listenerFilters": [{"name": "t", "typedConfig": {` + typeURL + `filters.listener.tls_inspector.v3.TlsInspector"}}],
    "filterChains": [{
      "transportSocket": {"name": "tls", "typedConfig": {` + typeURL + `transport_sockets.tls.v3.DownstreamTlsContext",
        "commonTlsContext": {"tlsCertificateSdsSecretConfigs": [{"name": "default"}]}}},
      "filters": [{"name": "hcm", "typedConfig": {
        ` + typeURL + `filters.network.http_connection_manager.v3.HttpConnectionManager", "statPrefix": "in",
        "routeConfig": {"virtualHosts": [{"name": "all", "domains": ["*"], "routes": [
          {"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}]},
        "httpFilters": [{"name": "router", "typedConfig": {` + typeURL + `filters.http.router.v3.Router"}}]}}]}]}],
  "clusters": [{
    "name": "app", "type": "STATIC",
    "loadAssignment": {"clusterName": "app", "endpoints": [{"lbEndpoints": [
      {"endpoint": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}}}]}]}}]
}`

func TestStatic(t *testing.T) {
	c, err := Static([]byte(staticText), nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "listener {Name:in Address:127.0.0.1:8443 Bind:true InspectTLS:{On:true} InspectTimeout:15s}\n" +
		"  chain {TLS:{Certificate:{Own:true}} HTTP:{StatPrefix:in Table:{Hosts:[{Name:all Domains:[*] Routes:[" +
		"{Match:{Prefix:/} Clusters:[{Name:app Weight:1}] Timeout:15s}]}]}}}\n" +
		"cluster {Name:app ALPNOverride:true}\n  endpoint {Address:127.0.0.1:8080}\n"
	if got := text(c); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestStaticRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(staticText, old, new, 1) }
	for want, text := range map[string]string{
		"read static resources: ":                        `{`,
		`unknown field "secrets"`:                        `{"secrets": []}`,
		`listener 0: `:                                   replace(`"listenerFilters"`, `"nope"`),
		`cluster 0: translate cluster "app"`:             replace(`"STATIC"`, `"STATIC", "lbSubsetConfig": {}`),
		`endpoints "app" is not there: xDS would have`:   replace(`"STATIC"`, `"EDS", "edsClusterConfig": {"edsConfig": {"ads": {}}}`),
		`cluster "app" is there twice`:                   replace(`"clusters": [{`, `"clusters": [{"name": "app"}, {`),
		`unable to resolve "type.googleapis.com/a.Nope"`: replace(`"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"`, `"@type": "type.googleapis.com/a.Nope"`),
	} {
		if _, err := Static([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
