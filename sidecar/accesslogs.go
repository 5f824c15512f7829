package sidecar

import (
	"fmt"
	"sync"

	"github.com/oarlock/oarlock/accesslog"
	"github.com/oarlock/oarlock/proxy"
)

// formats are the access log formats in use. One text gives one Format, by which the proxy sees that nothing changed.
type formats struct {
	mu    sync.Mutex
	known map[formatKey]*accesslog.Format
}

type formatKey struct {
	json bool
	text string
}

// maxFormats bounds what is kept: a mesh has one or two.
const maxFormats = 64

// accessLog is an xdsclient.AccessLogFunc.
func (f *formats) accessLog(path, text string, json []byte) (proxy.AccessLog, error) {
	key := formatKey{text: text}
	if json != nil {
		key = formatKey{json: true, text: string(json)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	format := f.known[key]
	if format == nil {
		var err error
		if format, err = parseFormat(key); err != nil {
			return proxy.AccessLog{}, fmt.Errorf("read access log format of %s: %w", path, err)
		}
		if f.known == nil || len(f.known) >= maxFormats {
			f.known = map[formatKey]*accesslog.Format{}
		}
		f.known[key] = format
	}
	return proxy.AccessLog{Path: path, Format: format}, nil
}

func parseFormat(key formatKey) (*accesslog.Format, error) {
	switch {
	case key.json:
		return accesslog.ParseJSON(key.text)
	case key.text != "":
		return accesslog.ParseText(key.text)
	default:
		return accesslog.Envoy(), nil
	}
}
