//lint:file-ignore SA1019 control planes still send what Envoy calls deprecated

package xdsclient

import (
	"encoding/json"
	"fmt"
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/proxy"
)

// accessLogs reads the logs of a filter. A filter on a log is left out: there are more lines then, and none is missing.
func (t *translation) accessLogs(logs []*accesslogv3.AccessLog) ([]proxy.AccessLog, error) {
	var out []proxy.AccessLog
	for _, l := range logs {
		if l.Filter != nil {
			t.ignore("AccessLog.filter")
		}
		one, ok, err := t.accessLog(l)
		if err != nil {
			return nil, fmt.Errorf("access log %q: %w", l.Name, err)
		}
		if ok {
			out = append(out, one)
		}
	}
	return out, nil
}

// listenerLogs reads the logs of a listener, which in package proxy are for connections that find no chain: response flag NR.
func (t *translation) listenerLogs(logs [][]byte) ([]proxy.AccessLog, error) {
	var out []proxy.AccessLog
	for _, b := range logs {
		one, err := once(t, "log", b, func() ([]proxy.AccessLog, error) { return t.listenerLog(b) })
		if err != nil {
			return nil, err
		}
		out = append(out, one...)
	}
	return out, nil
}

// listenerLog reads one of them; nothing for one that is left out.
func (t *translation) listenerLog(b []byte) ([]proxy.AccessLog, error) {
	l := &accesslogv3.AccessLog{}
	if err := proto.Unmarshal(b, l); err != nil {
		return nil, fmt.Errorf("decode access log: %w", err)
	}
	switch f := l.GetFilter().GetResponseFlagFilter(); {
	case l.Filter == nil:
		t.ignore("Listener.access_log of every connection")
	case f == nil || len(f.Flags) > 0 && !slices.Contains(f.Flags, "NR"):
		t.ignore("Listener.access_log with another filter")
		return nil, nil
	}
	one, ok, err := t.accessLog(l)
	if err != nil {
		return nil, fmt.Errorf("access log %q: %w", l.Name, err)
	}
	if !ok {
		return nil, nil
	}
	return []proxy.AccessLog{one}, nil
}

// accessLog reads one log; ok is false for one that goes elsewhere than into a file.
func (t *translation) accessLog(l *accesslogv3.AccessLog) (log proxy.AccessLog, ok bool, err error) {
	e, err := extensionOf(l.Name, l.GetTypedConfig())
	if err != nil {
		return log, false, err
	}
	var path, text string
	var format *corev3.SubstitutionFormatString
	var object []byte
	switch e.url {
	case "envoy.extensions.access_loggers.file.v3.FileAccessLog":
		c := &filev3.FileAccessLog{}
		if err := decode(e.body, c); err != nil {
			return log, false, err
		}
		path, text, format = c.Path, c.GetFormat(), c.GetLogFormat()
		for _, s := range []interface{ AsMap() map[string]any }{c.GetJsonFormat(), c.GetTypedJsonFormat()} {
			if m := s.AsMap(); len(m) > 0 {
				object, err = json.Marshal(m)
			}
		}
	case "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog":
		c := &streamv3.StdoutAccessLog{}
		err = decode(e.body, c)
		path, format = "/dev/stdout", c.GetLogFormat()
	case "envoy.extensions.access_loggers.stream.v3.StderrAccessLog":
		c := &streamv3.StderrAccessLog{}
		err = decode(e.body, c)
		path, format = "/dev/stderr", c.GetLogFormat()
	default:
		t.ignore(e.url)
		return log, false, nil
	}
	if err != nil {
		return log, false, err
	}
	if format != nil {
		if text, object, err = t.logFormat(format); err != nil {
			return log, false, err
		}
	}
	if path == "" || path == "/dev/null" || t.logs == nil {
		return log, false, nil
	}
	log, err = t.logs(path, text, object)
	return log, err == nil, err
}

// logFormat reads a format: text, or a JSON object.
func (t *translation) logFormat(f *corev3.SubstitutionFormatString) (text string, object []byte, err error) {
	err = t.fields(f, "text_format text_format_source json_format",
		"omit_empty_values content_type formatters json_format_options")
	if err != nil {
		return "", nil, err
	}
	if f.GetJsonFormat() != nil {
		object, err = json.Marshal(f.GetJsonFormat().AsMap())
		return "", object, err
	}
	if s := f.GetTextFormatSource(); s != nil {
		if s.GetInlineString() == "" && len(s.GetInlineBytes()) == 0 {
			return "", nil, fmt.Errorf("text_format_source: only inline text is supported")
		}
		return s.GetInlineString() + string(s.GetInlineBytes()), nil, nil
	}
	return f.GetTextFormat(), nil, nil
}
