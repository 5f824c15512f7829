package resolve

import (
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// Protocol is the class of a service port: HTTP, TCP, UDP or auto (detected at run time), with the protocol's name.
type Protocol struct {
	Class ProtocolClass
	Name  string // HTTP, HTTP2, GRPC, GRPC-Web, HTTP_PROXY, TCP, TLS, HTTPS, Mongo, Redis, MySQL, UDP, or "auto"
}

// HTTP2 says whether it is HTTP/2, or gRPC, which rides on it.
func (p Protocol) HTTP2() bool { return p.Name == "HTTP2" || p.Name == "GRPC" || p.Name == "GRPC-Web" }

// ProtocolClass decides which inbound filter chains a port gets.
type ProtocolClass uint8

// The classes.
const (
	ProtocolAuto ProtocolClass = iota
	ProtocolHTTP
	ProtocolTCP
	ProtocolUDP
)

// PortProtocol names the protocol of a service port:
//
//   - UDP by the Kubernetes protocol
//   - a ServiceEntry's declared protocol
//   - appProtocol where it is written, even if unknown (current dialect)
//   - the port name up to the first "-", "grpc-web" apart, without regard to case
//   - TCP for ports 25, 53, 3306 and 27017
//   - else auto, or TCP in 1.1 and 1.2
//
// Source: semantics M47, M48, L53.
func PortProtocol(p *mesh.Port, d mesh.Dialect) Protocol {
	switch {
	case strings.EqualFold(p.Transport, "UDP"):
		return Protocol{ProtocolUDP, "UDP"}
	case p.Declared != "":
		return namedProtocol(p.Declared, d)
	case p.AppProtocol != nil && !d.Legacy():
		switch *p.AppProtocol {
		case "kubernetes.io/h2c":
			return Protocol{ProtocolHTTP, "HTTP2"}
		case "kubernetes.io/ws":
			return Protocol{ProtocolHTTP, "HTTP"}
		case "kubernetes.io/wss":
			return Protocol{ProtocolTCP, "HTTPS"}
		}
		return namedProtocol(*p.AppProtocol, d)
	}
	name := p.Name
	if len(name) >= 8 && strings.EqualFold(name[:8], "grpc-web") {
		return Protocol{ProtocolHTTP, "GRPC-Web"}
	}
	prefix, _, _ := strings.Cut(name, "-")
	if got := namedProtocol(prefix, d); got.Class != ProtocolAuto && prefix != "" {
		return got
	}
	switch p.Number {
	case 25, 53, 3306, 27017:
		return Protocol{ProtocolTCP, "TCP"}
	}
	return namedProtocol("", d)
}

var protocols = map[string]Protocol{
	"tcp": {ProtocolTCP, "TCP"}, "udp": {ProtocolUDP, "UDP"}, "grpc": {ProtocolHTTP, "GRPC"}, "grpc-web": {ProtocolHTTP, "GRPC-Web"},
	"http": {ProtocolHTTP, "HTTP"}, "http_proxy": {ProtocolHTTP, "HTTP_PROXY"}, "http2": {ProtocolHTTP, "HTTP2"},
	"https": {ProtocolTCP, "HTTPS"}, "tls": {ProtocolTCP, "TLS"}, "mongo": {ProtocolTCP, "Mongo"},
	"redis": {ProtocolTCP, "Redis"}, "mysql": {ProtocolTCP, "MySQL"},
}

func namedProtocol(name string, d mesh.Dialect) Protocol {
	// Lower case without a string of its own: this is asked for every endpoint behind an ingress listener.
	var lower [len("http_proxy")]byte
	if len(name) <= len(lower) {
		for i := range len(name) {
			lower[i] = name[i]
			if 'A' <= name[i] && name[i] <= 'Z' {
				lower[i] += 'a' - 'A'
			}
		}
		if p, ok := protocols[string(lower[:len(name)])]; ok {
			return p
		}
	}
	if d == mesh.Dialect11 || d == mesh.Dialect12 {
		return Protocol{ProtocolTCP, "TCP"}
	}
	return Protocol{ProtocolAuto, "auto"}
}
