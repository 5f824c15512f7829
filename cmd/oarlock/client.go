package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
	"github.com/oarlock/oarlock/web"
)

// outsideWord is the client that is a caller without a sidecar.
const outsideWord = web.Outside

// client finds the workload that arg means: POD[.NS], NS/POD, deploy/NAME[.NS] (or another kind), or "outside".
//
// A name means, in this order: a pod of that name; another workload of that name; the workload whose controller would
// generate it. The namespace is the one in arg, else that of -n, else default if the name is there, else the only one
// that has it.
func (a *app) client(l *loaded, arg string) (resolve.Client, error) {
	if arg == outsideWord {
		return resolve.Client{}, nil
	}
	if found, in := web.FindClients(l.snap, arg, a.namespace()); len(found) > 0 {
		w, err := a.choose(arg, in, found)
		return resolve.Client{Workload: w}, err
	}
	try := ""
	if near := l.nearestClient(arg); near != "" {
		try = a.again(arg, near)
	}
	return resolve.Client{}, usage(fmt.Errorf("find client %q: no such workload", arg), try)
}

// namespace gives -n, or "" where every namespace is meant.
func (a *app) namespace() string {
	if a.flags.allNamespaces {
		return ""
	}
	return a.flags.namespace
}

// choose picks one of several workloads that fit equally well.
func (a *app) choose(arg, in string, found []*mesh.Workload) (*mesh.Workload, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	if web.Alike(found) {
		return found[0], nil // all are of one controller, and alike
	}
	var names []string
	var inDefault []*mesh.Workload
	for _, w := range found {
		names = append(names, web.KindWord(w.Ref.Kind)+"/"+w.Ref.Name+"."+w.Ref.Namespace)
		if w.Ref.Namespace == "default" {
			inDefault = append(inDefault, w)
		}
	}
	if in == "" && !a.flags.allNamespaces && len(inDefault) == 1 {
		a.note("oarlock: %q is in several namespaces; this is the one in default (-n chooses)", arg)
		return inDefault[0], nil
	}
	return nil, usage(fmt.Errorf("find client %q: it could be %s", arg, someOf(names)), a.again(arg, names[0]))
}

// someOf lists names for a message, not endlessly.
func someOf(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" or %d others", len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// clientName is how we print a client, so that it can be pasted back.
func (l *loaded) clientName(c resolve.Client) string { return web.ClientName(l.snap, c) }

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// splitPort takes the :PORT, a number or a name, off SERVICE:PORT.
func splitPort(arg string) (service, port string) {
	if i := strings.LastIndexByte(arg, ':'); i >= 0 {
		return arg[:i], arg[i+1:]
	}
	return arg, ""
}

// service finds the one service that name means: a short name (foo, foo.ns, foo.ns.svc), NS/NAME, or a full host.
// from is the namespace in which short names are looked up first.
func (a *app) service(l *loaded, name, from string) (*mesh.Service, error) {
	typed := name
	if ns, short, ok := strings.Cut(name, "/"); ok {
		name, from = short+"."+ns, ns
	}
	found := l.resolver.Services(name, from)
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return nil, a.noService(l, typed)
	}
	var hosts []string
	for _, s := range found {
		hosts = append(hosts, s.Hostname)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if len(hosts) == 1 {
		// Several ServiceEntries may hold one host; which one counts is the resolver's order.
		return found[0], nil
	}
	return nil, usage(fmt.Errorf("find service %q: it could be %s", typed, someOf(hosts)), a.againService(typed, hosts[0]))
}

// noService is the error for a name that no service has, with the nearest that one has.
func (a *app) noService(l *loaded, typed string) error {
	try := ""
	if near := l.nearestHost(typed); near != "" {
		try = a.againService(typed, near)
	}
	return usage(fmt.Errorf("find service %q: no such service", typed), try)
}

// againService is this command with another service, the port kept.
func (a *app) againService(typed, host string) string {
	for _, arg := range a.args {
		if rest, ok := strings.CutPrefix(arg, typed+":"); ok {
			return a.again(arg, host+":"+rest)
		}
	}
	return a.again(typed, host)
}

// lookupNamespace is where a client's short names start: -n, else its own namespace, else default.
func (a *app) lookupNamespace(c resolve.Client) string {
	switch {
	case a.namespace() != "":
		return a.namespace()
	case c.Workload != nil:
		return c.Workload.Ref.Namespace
	}
	return "default"
}

// port finds a port of s by number or name; arg is the argument that names it.
func (a *app) port(s *mesh.Service, arg, word string) (*mesh.Port, error) {
	var known []string
	for i := range s.Ports {
		p := &s.Ports[i]
		if number := fmt.Sprint(p.Number); word == number || word == p.Name && word != "" {
			return p, nil
		}
		known = append(known, portWord(p))
	}
	if len(known) == 0 {
		return nil, usage(fmt.Errorf("find port %q of %s: the service has no port", word, s.Hostname), "")
	}
	try := ""
	if p := nearestPort(s, word); p != nil {
		try = a.again(arg, fmt.Sprintf("%s:%d", strings.TrimSuffix(arg, ":"+word), p.Number))
	}
	return nil, usage(fmt.Errorf("find port %q of %s: it has %s", word, s.Hostname, strings.Join(known, ", ")), try)
}

// nearestPort gives the port that is most like a word, or the only one; nil where none is.
func nearestPort(s *mesh.Service, word string) *mesh.Port {
	if len(s.Ports) == 1 {
		return &s.Ports[0]
	}
	var names []string
	for i := range s.Ports {
		names = append(names, s.Ports[i].Name, fmt.Sprint(s.Ports[i].Number))
	}
	if i := slices.Index(names, nearest(word, names)); i >= 0 {
		return &s.Ports[i/2]
	}
	return nil
}

// portWord gives "9080 (http)".
func portWord(p *mesh.Port) string {
	if p.Name == "" {
		return fmt.Sprint(p.Number)
	}
	return fmt.Sprintf("%d (%s)", p.Number, p.Name)
}
