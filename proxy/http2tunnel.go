package proxy

// tunnelHTTP2 carries a connection that speaks HTTP/2 as bytes: its requests are not read, so the destination is that of the
// connection, the route the first one of its host without conditions, and the log has one line for all of them.
func (p *Proxy) tunnelHTTP2(d *downstream, h *httpManager) {
	t := &tcpProxy{config: &TCPProxy{StatPrefix: h.config.StatPrefix}, logs: h.logs, idle: DefaultTCPIdleTimeout}
	d.carry(t, p.tunnelCluster(d, h))
}

// tunnelCluster finds where the connection goes: the domains of an outbound table have the services' addresses among them.
func (p *Proxy) tunnelCluster(d *downstream, h *httpManager) string {
	table := h.table
	if table == nil {
		table = p.state.Load().tables[h.config.RouteName]
	}
	if table == nil {
		return ""
	}
	host := table.host([]byte(d.original.String()))
	if host == table.any || host == nil {
		if named := table.host([]byte(d.original.Addr().String())); named != nil {
			host = named
		}
	}
	if host == nil {
		return ""
	}
	for _, r := range host.routes {
		if (r.Match.Prefix == "/" || r.Match.Prefix == "") && r.Match.Path == "" && r.Match.Regex == "" && len(r.headers) == 0 {
			return r.cluster()
		}
	}
	return ""
}
