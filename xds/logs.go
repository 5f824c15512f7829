package xds

import (
	"cmp"
	"encoding/json"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/mesh"
)

// defaultFormats are Istio's, in text and in JSON, of a mesh that names none.
func defaultFormats(d mesh.Dialect) (text, object *accesslog.Format) {
	switch {
	case !d.Legacy():
		return accesslog.IstioCurrent(), accesslog.IstioCurrentJSON()
	case d == mesh.Dialect14:
		return accesslog.Istio14(), accesslog.Istio14JSON()
	}
	return accesslog.Istio11(), accesslog.Istio11JSON()
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
	text, object := defaultFormats(d)
	if strings.EqualFold(cfg.AccessLogEncoding, "JSON") {
		s, ok := logObject(cfg.AccessLogFormat)
		if !ok {
			s, _ = logObject(object.Source())
		}
		return &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: s}, JsonFormatOptions: &corev3.JsonFormatOptions{}}
	}
	line := cmp.Or(cfg.AccessLogFormat, text.Source())
	if !strings.HasSuffix(line, "\n") {
		line += "\n"
	}
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: line}}}}
}

func logObject(format string) (s *structpb.Struct, ok bool) {
	s = &structpb.Struct{}
	return s, json.Valid([]byte(format)) && s.UnmarshalJSON([]byte(format)) == nil
}
