package xds

import (
	"encoding/json"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/mesh"
)

// Istio's default lines, in Envoy's substitution strings.
const (
	logRequest = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% `
	logMixer   = `"%DYNAMIC_METADATA(istio.mixer:status)%" "%UPSTREAM_TRANSPORT_FAILURE_REASON%" `
	logDetails = `%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" `
	logSizes   = `%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ` +
		`"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" `
	logEnds  = ` %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME%`
	logRoute = ` %ROUTE_NAME%`

	textLegacy  = logRequest + logMixer + logSizes + `%UPSTREAM_CLUSTER%` + logEnds
	textCurrent = logRequest + logDetails + logSizes + `%UPSTREAM_CLUSTER_RAW%` + logEnds + logRoute
)

// defaultText is the line of a mesh that names no format.
func defaultText(d mesh.Dialect) string {
	switch {
	case !d.Legacy():
		return textCurrent + "\n"
	case d == mesh.Dialect14:
		return textLegacy + logRoute + "\n"
	}
	return textLegacy + "\n"
}

// defaultJSON is the same as an object.
func defaultJSON(d mesh.Dialect) *structpb.Struct {
	m := map[string]string{
		"authority":                         "%REQ(:AUTHORITY)%",
		"bytes_received":                    "%BYTES_RECEIVED%",
		"bytes_sent":                        "%BYTES_SENT%",
		"downstream_local_address":          "%DOWNSTREAM_LOCAL_ADDRESS%",
		"downstream_remote_address":         "%DOWNSTREAM_REMOTE_ADDRESS%",
		"duration":                          "%DURATION%",
		"method":                            "%REQ(:METHOD)%",
		"path":                              "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
		"protocol":                          "%PROTOCOL%",
		"request_id":                        "%REQ(X-REQUEST-ID)%",
		"requested_server_name":             "%REQUESTED_SERVER_NAME%",
		"response_code":                     "%RESPONSE_CODE%",
		"response_flags":                    "%RESPONSE_FLAGS%",
		"start_time":                        "%START_TIME%",
		"upstream_cluster":                  "%UPSTREAM_CLUSTER_RAW%",
		"upstream_host":                     "%UPSTREAM_HOST%",
		"upstream_local_address":            "%UPSTREAM_LOCAL_ADDRESS%",
		"upstream_service_time":             "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
		"upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
		"user_agent":                        "%REQ(USER-AGENT)%",
		"x_forwarded_for":                   "%REQ(X-FORWARDED-FOR)%",
	}
	if d.Legacy() {
		m["upstream_cluster"] = "%UPSTREAM_CLUSTER%"
		m["istio_policy_status"] = "%DYNAMIC_METADATA(istio.mixer:status)%"
	} else {
		m["connection_termination_details"] = "%CONNECTION_TERMINATION_DETAILS%"
		m["response_code_details"] = "%RESPONSE_CODE_DETAILS%"
	}
	if !d.Legacy() || d == mesh.Dialect14 {
		m["route_name"] = "%ROUTE_NAME%"
	}
	out := map[string]*structpb.Value{}
	for k, v := range m {
		out[k] = structpb.NewStringValue(v)
	}
	return fields(out)
}

// accessLog is what MeshConfig says of access logs; nil where they are off. /dev/null is off too: nobody could read it.
func (t *Translator) accessLog() []*accesslogv3.AccessLog {
	cfg := &t.snap.Config
	if cfg.AccessLogFile == "" || cfg.AccessLogFile == "/dev/null" {
		return nil
	}
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.file",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: t.part("log", func() proto.Message {
			return &filev3.FileAccessLog{
				Path: cfg.AccessLogFile, AccessLogFormat: &filev3.FileAccessLog_LogFormat{LogFormat: logFormat(cfg, t.snap.Dialect)}}
		})},
	}}
}

// listenerLog is for connections that find no chain.
func (t *Translator) listenerLog() []*accesslogv3.AccessLog {
	out := t.accessLog()
	for _, l := range out {
		l.Filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}}}}
	}
	return out
}

// logFormat takes a format of the mesh where it has one. JSON that is no object counts as none, as in Istio.
func logFormat(cfg *mesh.Config, d mesh.Dialect) *corev3.SubstitutionFormatString {
	if strings.EqualFold(cfg.AccessLogEncoding, "JSON") {
		s := &structpb.Struct{}
		if cfg.AccessLogFormat == "" || !json.Valid([]byte(cfg.AccessLogFormat)) || s.UnmarshalJSON([]byte(cfg.AccessLogFormat)) != nil {
			s = defaultJSON(d)
		}
		return &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: s}, JsonFormatOptions: &corev3.JsonFormatOptions{}}
	}
	text := cfg.AccessLogFormat
	switch {
	case text == "":
		text = defaultText(d)
	case !strings.HasSuffix(text, "\n"):
		text += "\n"
	}
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}}}
}
