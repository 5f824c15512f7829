package demoapp

import (
	"net"
	"strconv"
	"strings"
)

// address gives where to connect for a target, and whether Kubernetes' variables say so.
func address(t Target, env func(string) (string, bool)) (hostPort string, service bool) {
	port := strconv.Itoa(int(t.Port))
	if net.ParseIP(t.Host) != nil {
		return net.JoinHostPort(t.Host, port), false
	}
	own, _ := env("POD_NAMESPACE")
	for _, prefix := range prefixes(t.Host, own) {
		host, _ := env(prefix + "_PORT_" + port + "_TCP_ADDR")
		number, _ := env(prefix + "_PORT_" + port + "_TCP_PORT")
		if host != "" && number != "" && t.Protocol != "udp" {
			return net.JoinHostPort(host, number), true
		}
		if host, _ := env(prefix + "_SERVICE_HOST"); host != "" {
			return net.JoinHostPort(host, port), true
		}
	}
	return net.JoinHostPort(t.Host, port), false
}

// prefixes are what a name is called in variables, the most exact first: X of a short name, NAME_NS of a Service's longer
// names, and NAME too where the namespace is one's own. Any other name may be there whole, as a ServiceEntry's.
func prefixes(host, own string) []string {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(labels) == 2 || len(labels) > 2 && labels[2] == "svc" {
		out := []string{variable(labels[0] + "." + labels[1])}
		if labels[1] == own {
			out = append(out, variable(labels[0]))
		}
		return out
	}
	return []string{variable(strings.Join(labels, "."))}
}

// variable is Kubernetes' rule for names in variables.
func variable(name string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(name))
}
