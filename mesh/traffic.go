package mesh

import "time"

// ConnectionPool bounds what a client's sidecar opens towards one service. A nil number and a zero duration are not set:
// the sidecar's default counts.
type ConnectionPool struct {
	// Of tcp.
	MaxConnections        *uint32
	ConnectTimeout        time.Duration
	IdleTimeout           time.Duration // of TCP connections
	MaxConnectionDuration time.Duration
	TCPKeepalive          *TCPKeepalive

	// Of http.
	HTTP1MaxPendingRequests  *uint32
	HTTP2MaxRequests         *uint32
	MaxRequestsPerConnection *uint32
	MaxRetries               *uint32 // at one time, over all connections
	MaxConcurrentStreams     *uint32
	HTTPIdleTimeout          time.Duration
	H2UpgradePolicy          string // DO_NOT_UPGRADE or UPGRADE; "" where it is the mesh's
	UseClientProtocol        bool
}

// TCPKeepalive is what the kernel is told about idle connections; zero is the system's own.
type TCPKeepalive struct {
	Probes         uint32
	Time, Interval time.Duration
}

// OutlierDetection is when an endpoint is left out for a while. A nil number and a zero duration are not set: the
// sidecar's default counts.
type OutlierDetection struct {
	Consecutive5xx           *uint32 // 0 turns this cause off
	ConsecutiveGatewayErrors *uint32 // 502, 503, 504; 0 turns this cause off
	ConsecutiveLocalErrors   *uint32 // failed connections, where SplitLocalErrors
	SplitLocalErrors         bool
	Interval                 time.Duration
	BaseEjectionTime         time.Duration
	MaxEjectionPercent       *uint32
	MinHealthPercent         *uint32
}

// Settings are the blocks of a traffic policy that are in force for one port.
type Settings struct {
	TLS              *ClientTLS
	LoadBalancer     string
	ConnectionPool   *ConnectionPool
	OutlierDetection *OutlierDetection
}

// ForPort gives the blocks in force for a port of a service, and whether an entry of Ports decides. The first entry for the
// port replaces all four blocks, also with nothing.
func (p *TrafficPolicy) ForPort(port *Port, d Dialect) (Settings, bool) {
	if p == nil {
		return Settings{}, false
	}
	for i := range p.Ports {
		e := &p.Ports[i]
		if e.Selects(port, d) {
			return Settings{e.TLS, e.LoadBalancer, e.ConnectionPool, e.OutlierDetection}, true
		}
	}
	return Settings{p.TLS, p.LoadBalancer, p.ConnectionPool, p.OutlierDetection}, false
}

// SettingsFor gives the blocks in force for a port of a service, or of one of its subsets: those of the rule, with each
// block that the subset sets laid over them. In the current dialect a subset's entry for the port replaces all four, also
// with nothing. Either policy may be nil. Auto mTLS, which fills in a missing TLS block, is not looked at.
func SettingsFor(rule, subset *TrafficPolicy, port *Port, d Dialect) Settings {
	out, _ := rule.ForPort(port, d)
	own, entry := subset.ForPort(port, d)
	if entry && !d.Legacy() {
		return own
	}
	if own.TLS != nil {
		out.TLS = own.TLS
	}
	if own.LoadBalancer != "" {
		out.LoadBalancer = own.LoadBalancer
	}
	if own.ConnectionPool != nil {
		out.ConnectionPool = own.ConnectionPool
	}
	if own.OutlierDetection != nil {
		out.OutlierDetection = own.OutlierDetection
	}
	return out
}
