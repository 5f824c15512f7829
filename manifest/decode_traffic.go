package manifest

import (
	"time"

	"github.com/oarlock/oarlock/mesh"
)

// span reads a duration below a path for messages. One that is none is reported and counts as not written.
func (c *checker) span(v *value, key, at string) time.Duration {
	e := v.get(key)
	if e == nil {
		return 0
	}
	d, err := time.ParseDuration(e.text)
	if err != nil || d < 0 {
		c.warn(e, "write it like 100ms or 5s", "%s.%s: %q is no duration and is ignored", at, key, shorten(e.text))
		return 0
	}
	return d
}

// above0 gives a number that counts where it is above 0, as most of those of a connection pool do.
func above0(v *value, key string) *uint32 {
	if n := v.number32(key, 0); n > 0 {
		return &n
	}
	return nil
}

// written gives a number that counts where it is written, 0 included.
func written(v *value, key string) *uint32 {
	if v.get(key) == nil {
		return nil
	}
	n := v.number32(key, 0)
	return &n
}

func (c *checker) connectionPool(v *value, at string) *mesh.ConnectionPool {
	if v == nil {
		return nil
	}
	at += ".connectionPool"
	tcp, http := v.get("tcp"), v.get("http")
	out := &mesh.ConnectionPool{
		MaxConnections:           above0(tcp, "maxConnections"),
		ConnectTimeout:           c.span(tcp, "connectTimeout", at+".tcp"),
		IdleTimeout:              c.span(tcp, "idleTimeout", at+".tcp"),
		MaxConnectionDuration:    c.span(tcp, "maxConnectionDuration", at+".tcp"),
		HTTP1MaxPendingRequests:  above0(http, "http1MaxPendingRequests"),
		HTTP2MaxRequests:         above0(http, "http2MaxRequests"),
		MaxRequestsPerConnection: above0(http, "maxRequestsPerConnection"),
		MaxRetries:               above0(http, "maxRetries"),
		MaxConcurrentStreams:     above0(http, "maxConcurrentStreams"),
		HTTPIdleTimeout:          c.span(http, "idleTimeout", at+".http"),
		UseClientProtocol:        http.flag("useClientProtocol"),
	}
	if word := http.str("h2UpgradePolicy"); word != "DEFAULT" {
		out.H2UpgradePolicy = word
	}
	if k := tcp.get("tcpKeepalive"); k != nil {
		out.TCPKeepalive = &mesh.TCPKeepalive{Probes: k.number32("probes", 0),
			Time: c.span(k, "time", at+".tcp.tcpKeepalive"), Interval: c.span(k, "interval", at+".tcp.tcpKeepalive")}
	}
	return out
}

// outlierDetection reads when endpoints are left out. The old consecutiveErrors counts gateway errors and no others.
func (c *checker) outlierDetection(v *value, at string) *mesh.OutlierDetection {
	if v == nil {
		return nil
	}
	at += ".outlierDetection"
	out := &mesh.OutlierDetection{
		Consecutive5xx:           written(v, "consecutive5xxErrors"),
		ConsecutiveGatewayErrors: written(v, "consecutiveGatewayErrors"),
		ConsecutiveLocalErrors:   written(v, "consecutiveLocalOriginFailures"),
		SplitLocalErrors:         v.flag("splitExternalLocalOriginErrors"),
		Interval:                 c.span(v, "interval", at),
		BaseEjectionTime:         c.span(v, "baseEjectionTime", at),
		MaxEjectionPercent:       above0(v, "maxEjectionPercent"),
		MinHealthPercent:         above0(v, "minHealthPercent"),
	}
	if old := above0(v, "consecutiveErrors"); old != nil && out.Consecutive5xx == nil && out.ConsecutiveGatewayErrors == nil {
		out.ConsecutiveGatewayErrors, out.Consecutive5xx = old, new(uint32)
	}
	return out
}
