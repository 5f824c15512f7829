package sidecar

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"github.com/oarlock/oarlock/proxy"
	"github.com/oarlock/oarlock/svid"
)

// resource is one of xDS, as JSON.
type resource struct {
	kind    string // of the kinds below
	name    string
	version string
	updated time.Time
	json    json.RawMessage
}

// The kinds of resource.
const (
	kindListener = "listener"
	kindCluster  = "cluster"
	kindRoute    = "route"
	kindEndpoint = "endpoint"
)

// Envoy's messages for /config_dump, as far as they are used. Field names are those of its JSON.
type (
	configDump struct {
		Configs []any `json:"configs"`
	}
	bootstrapDump struct {
		Type      string          `json:"@type"`
		Bootstrap *bootstrap.File `json:"bootstrap"` // in our form; it holds no secret, only names of files
		Updated   time.Time       `json:"last_updated"`
	}
	clustersDump struct {
		Type    string        `json:"@type"`
		Version string        `json:"version_info,omitempty"`
		Static  []clusterDump `json:"static_clusters,omitempty"`
		Dynamic []clusterDump `json:"dynamic_active_clusters,omitempty"`
	}
	clusterDump struct {
		Version string          `json:"version_info,omitempty"`
		Cluster json.RawMessage `json:"cluster"`
		Updated time.Time       `json:"last_updated"`
	}
	listenersDump struct {
		Type    string            `json:"@type"`
		Version string            `json:"version_info,omitempty"`
		Static  []listenerState   `json:"static_listeners,omitempty"`
		Dynamic []dynamicListener `json:"dynamic_listeners,omitempty"`
	}
	dynamicListener struct {
		Name   string        `json:"name"`
		Active listenerState `json:"active_state"`
	}
	listenerState struct {
		Version  string          `json:"version_info,omitempty"`
		Listener json.RawMessage `json:"listener"`
		Updated  time.Time       `json:"last_updated"`
	}
	routesDump struct {
		Type    string      `json:"@type"`
		Dynamic []routeDump `json:"dynamic_route_configs,omitempty"`
	}
	routeDump struct {
		Version string          `json:"version_info,omitempty"`
		Route   json.RawMessage `json:"route_config"`
		Updated time.Time       `json:"last_updated"`
	}
	endpointsDump struct {
		Type    string         `json:"@type"`
		Dynamic []endpointDump `json:"dynamic_endpoint_configs,omitempty"`
	}
	endpointDump struct {
		Version   string          `json:"version_info,omitempty"`
		Endpoints json.RawMessage `json:"endpoint_config"`
		Updated   time.Time       `json:"last_updated"`
	}
	secretsDump struct {
		Type    string       `json:"@type"`
		Dynamic []secretDump `json:"dynamic_active_secrets,omitempty"`
	}
	secretDump struct {
		Name    string    `json:"name"`
		Version string    `json:"version_info,omitempty"`
		Updated time.Time `json:"last_updated"`
		Secret  secret    `json:"secret"`
	}
	secret struct {
		Type       string      `json:"@type"`
		Name       string      `json:"name"`
		TLS        *secretTLS  `json:"tls_certificate,omitempty"`
		Validation *validation `json:"validation_context,omitempty"`
	}
	secretTLS struct {
		Chain dataSource `json:"certificate_chain"`
		Key   dataSource `json:"private_key"`
	}
	validation struct {
		CA dataSource `json:"trusted_ca"`
	}
	dataSource struct {
		Bytes []byte `json:"inline_bytes"` // base64 in JSON
	}
)

const (
	adminType  = "type.googleapis.com/envoy.admin.v3."
	secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
	// redacted stands for the key, as in Envoy.
	redacted = "[redacted]"
)

// configDump answers with what is in force. ?mask and ?resource of Envoy are not there; ?include_eds is, and endpoints
// are left out without it.
func (s *sidecar) configDump(w http.ResponseWriter, r *http.Request) {
	all := s.resources()
	dump := configDump{Configs: []any{
		bootstrapDump{adminType + "BootstrapConfigDump", s.file, s.started},
		s.dumpClusters(all), s.dumpListeners(all), dumpRoutes(all),
	}}
	if r.URL.Query().Has("include_eds") {
		dump.Configs = append(dump.Configs, dumpEndpoints(all))
	}
	dump.Configs = append(dump.Configs, s.dumpSecrets())
	answerJSON(w, dump)
}

func (s *sidecar) dumpClusters(all []resource) clustersDump {
	d := clustersDump{Type: adminType + "ClustersConfigDump"}
	for _, r := range ofKind(all, kindCluster) {
		c := clusterDump{r.version, typed(r.json, "envoy.config.cluster.v3.Cluster"), r.updated}
		if s.file.Static != nil {
			d.Static = append(d.Static, c)
			continue
		}
		d.Version, d.Dynamic = r.version, append(d.Dynamic, c)
	}
	return d
}

func (s *sidecar) dumpListeners(all []resource) listenersDump {
	d := listenersDump{Type: adminType + "ListenersConfigDump"}
	for _, r := range ofKind(all, kindListener) {
		l := listenerState{r.version, typed(r.json, "envoy.config.listener.v3.Listener"), r.updated}
		if s.file.Static != nil {
			d.Static = append(d.Static, l)
			continue
		}
		d.Version, d.Dynamic = r.version, append(d.Dynamic, dynamicListener{r.name, l})
	}
	return d
}

func dumpRoutes(all []resource) routesDump {
	d := routesDump{Type: adminType + "RoutesConfigDump"}
	for _, r := range ofKind(all, kindRoute) {
		d.Dynamic = append(d.Dynamic, routeDump{r.version, typed(r.json, "envoy.config.route.v3.RouteConfiguration"), r.updated})
	}
	return d
}

func dumpEndpoints(all []resource) endpointsDump {
	d := endpointsDump{Type: adminType + "EndpointsConfigDump"}
	for _, r := range ofKind(all, kindEndpoint) {
		d.Dynamic = append(d.Dynamic, endpointDump{r.version, typed(r.json, "envoy.config.endpoint.v3.ClusterLoadAssignment"), r.updated})
	}
	return d
}

// ofKind gives the resources of one kind in order of name.
func ofKind(all []resource, kind string) []resource {
	var out []resource
	for _, r := range all {
		if r.kind == kind {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b resource) int { return cmp.Compare(a.name, b.name) })
	return out
}

// typed puts the type in front of a message's JSON, as an Any has it.
func typed(message json.RawMessage, name string) json.RawMessage {
	rest := bytes.TrimSpace(message)
	if len(rest) < 2 || rest[0] != '{' || bytes.HasPrefix(rest, []byte(`{"@type"`)) {
		return message
	}
	rest = bytes.TrimSpace(rest[1:])
	comma := ","
	if rest[0] == '}' {
		comma = ""
	}
	return fmt.Appendf(nil, `{"@type":"type.googleapis.com/%s"%s%s`, name, comma, rest)
}

// dumpSecrets has what is public of the SVID.
func (s *sidecar) dumpSecrets() secretsDump {
	d := secretsDump{Type: adminType + "SecretsConfigDump"}
	id := s.identity.Load()
	if id == nil {
		return d
	}
	st := id.State()
	d.Dynamic = []secretDump{
		{"default", st.Leaf.SerialNumber.Text(16), st.Obtained, secret{Type: secretType, Name: "default", TLS: &secretTLS{
			Chain: dataSource{chainPEM(id)}, Key: dataSource{[]byte(redacted)}}}},
		{"ROOTCA", st.BundleVersion, st.Obtained, secret{Type: secretType, Name: "ROOTCA", Validation: &validation{
			CA: dataSource{certificatesPEM(st.Roots)}}}},
	}
	return d
}

// chainPEM is the chain that handshakes show: every peer gets it.
func chainPEM(id *svid.Source) []byte {
	cert, err := id.GetClientCertificate(nil)
	if err != nil {
		return nil
	}
	var out []byte
	for _, der := range cert.Certificate {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func certificatesPEM(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// certDetails is Envoy's CertificateDetails.
type certDetails struct {
	Path       string              `json:"path"`
	Serial     string              `json:"serial_number"`
	Names      []map[string]string `json:"subject_alt_names"`
	Days       string              `json:"days_until_expiration"`
	ValidFrom  time.Time           `json:"valid_from"`
	Expiration time.Time           `json:"expiration_time"`
}

func detailsOf(c *x509.Certificate) certDetails {
	d := certDetails{Path: "<inline>", Serial: c.SerialNumber.Text(16), Names: []map[string]string{},
		Days: fmt.Sprint(max(0, int(time.Until(c.NotAfter).Hours()/24))), ValidFrom: c.NotBefore, Expiration: c.NotAfter}
	for _, u := range c.URIs {
		d.Names = append(d.Names, map[string]string{"uri": u.String()})
	}
	for _, n := range c.DNSNames {
		d.Names = append(d.Names, map[string]string{"dns": n})
	}
	return d
}

// certs answers with what is public of the SVID, in Envoy's form.
func (s *sidecar) certs(w http.ResponseWriter, _ *http.Request) {
	type entry struct {
		CA    []certDetails `json:"ca_cert"`
		Chain []certDetails `json:"cert_chain"`
	}
	answer := struct {
		Certificates []entry `json:"certificates"`
	}{[]entry{}}
	if id := s.identity.Load(); id != nil {
		e := entry{CA: []certDetails{}, Chain: []certDetails{}}
		for _, root := range id.State().Roots {
			e.CA = append(e.CA, detailsOf(root))
		}
		if cert, err := id.GetClientCertificate(nil); err == nil {
			for _, der := range cert.Certificate {
				if c, err := x509.ParseCertificate(der); err == nil {
					e.Chain = append(e.Chain, detailsOf(c))
				}
			}
		}
		answer.Certificates = append(answer.Certificates, e)
	}
	answerJSON(w, answer)
}

// Envoy's messages for /clusters and /listeners.
type (
	socketAddress struct {
		Address string `json:"address"`
		Port    uint16 `json:"port_value"`
	}
	address struct {
		Socket socketAddress `json:"socket_address"`
	}
	hostStatus struct {
		Address  address           `json:"address"`
		Health   map[string]string `json:"health_status"`
		Weight   uint32            `json:"weight"`
		Hostname string            `json:"hostname,omitempty"`
		Priority uint32            `json:"priority,omitempty"`
	}
	clusterStatus struct {
		Name  string       `json:"name"`
		API   bool         `json:"added_via_api"`
		Hosts []hostStatus `json:"host_statuses,omitempty"`
	}
	listenerStatus struct {
		Name  string  `json:"name"`
		Local address `json:"local_address"`
	}
)

// clusters lists the endpoints of each cluster: as the configuration has them, without what outlier detection put aside.
func (s *sidecar) clusters(w http.ResponseWriter, r *http.Request) {
	statuses := []clusterStatus{}
	for _, c := range s.inForce().Clusters {
		st := clusterStatus{Name: c.Name, API: s.file.Static == nil}
		for _, e := range c.Endpoints {
			health := "HEALTHY"
			if e.Down {
				health = "UNHEALTHY"
			}
			st.Hosts = append(st.Hosts, hostStatus{Address: address{socketAddress{e.Address.Addr().String(), e.Address.Port()}},
				Health: map[string]string{"eds_health_status": health}, Weight: max(1, e.Weight), Hostname: e.Host, Priority: e.Priority})
		}
		statuses = append(statuses, st)
	}
	slices.SortFunc(statuses, func(a, b clusterStatus) int { return cmp.Compare(a.Name, b.Name) })
	if wantsJSON(r) {
		answerJSON(w, map[string]any{"cluster_statuses": statuses})
		return
	}
	var b strings.Builder
	for _, c := range statuses {
		fmt.Fprintf(&b, "%s::added_via_api::%t\n", c.Name, c.API)
		for _, h := range c.Hosts {
			at := fmt.Sprintf("%s::%s:%d", c.Name, h.Address.Socket.Address, h.Address.Socket.Port)
			flags := "healthy"
			if h.Health["eds_health_status"] != "HEALTHY" {
				flags = "/failed_eds_health"
			}
			fmt.Fprintf(&b, "%s::hostname::%s\n%s::health_flags::%s\n%s::weight::%d\n%s::priority::%d\n",
				at, h.Hostname, at, flags, at, h.Weight, at, h.Priority)
		}
	}
	answerText(w, b.String())
}

func (s *sidecar) listeners(w http.ResponseWriter, r *http.Request) {
	statuses := []listenerStatus{}
	for _, l := range s.inForce().Listeners {
		statuses = append(statuses, listenerStatus{l.Name, address{socketAddress{l.Address.Addr().String(), l.Address.Port()}}})
	}
	slices.SortFunc(statuses, func(a, b listenerStatus) int { return cmp.Compare(a.Name, b.Name) })
	if wantsJSON(r) {
		answerJSON(w, map[string]any{"listener_statuses": statuses})
		return
	}
	var b strings.Builder
	for _, l := range statuses {
		fmt.Fprintf(&b, "%s::%s:%d\n", l.Name, l.Local.Socket.Address, l.Local.Socket.Port)
	}
	answerText(w, b.String())
}

// inForce is the configuration in force, an empty one before the first.
func (s *sidecar) inForce() *proxy.Config {
	if c := s.config.Load(); c != nil {
		return c
	}
	return &proxy.Config{}
}

func wantsJSON(r *http.Request) bool { return r.URL.Query().Get("format") == "json" }
