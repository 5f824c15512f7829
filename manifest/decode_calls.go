package manifest

import (
	"strconv"
	"strings"

	"github.com/oarlock/oarlock/mesh"
)

// callsAnnotation lists what a workload calls: "details:9080, reviews.bookinfo, https://example.com".
const callsAnnotation = ownAnnotation + "calls"

// demoCommand is the command of the demo application, whose --call arguments say what it calls.
const demoCommand = "demo-app"

// calls reads the calls that a workload declares by annotation and by the arguments of the demo application.
func (c *checker) calls(w *mesh.Workload, meta, spec *value) {
	if v := meta.get("annotations").get(callsAnnotation); v != nil {
		for _, text := range strings.FieldsFunc(v.text, isSeparator) {
			c.call(w, v, text, "annotation "+callsAnnotation)
		}
	}
	for _, container := range spec.list("containers") {
		c.demoCalls(w, container)
	}
}

// demoCalls finds --call HOST[:PORT] and --call=HOST[:PORT], also inside a shell's one long argument.
func (c *checker) demoCalls(w *mesh.Workload, container *value) {
	demo, next := false, false
	for _, arg := range append(container.list("command"), container.list("args")...) {
		words := []string{arg.text}
		if strings.ContainsAny(arg.text, " \t\n") {
			words = strings.Fields(arg.text)
		}
		for _, word := range words {
			word = strings.Trim(word, `"';`)
			switch target, found := strings.CutPrefix(word, "--call="); {
			case word == demoCommand || strings.HasSuffix(word, "/"+demoCommand):
				demo = true
			case next:
				c.call(w, arg, word, "demo-app argument --call")
				next = false
			case demo && found:
				c.call(w, arg, target, "demo-app argument --call")
			case demo && word == "--call":
				next = true
			}
		}
	}
}

// call adds one target: HOST, HOST:PORT or a URL.
func (c *checker) call(w *mesh.Workload, at *value, text, source string) {
	host, port, ok := splitTarget(text)
	if !ok {
		c.warn(at, "write HOST, HOST:PORT or a URL", "%s: %q is no target and is ignored", source, shorten(text))
		return
	}
	call := mesh.Call{Host: host, Port: port, Source: source, Origin: c.origin(at.line, at.col)}
	for _, e := range w.Calls {
		if e.Host == host && e.Port == port {
			return
		}
	}
	w.Calls = append(w.Calls, call)
}

// splitTarget takes HOST, HOST:PORT[/PATH] or SCHEME://HOST[:PORT][/PATH] apart. http and https imply their ports.
func splitTarget(text string) (host string, port uint32, ok bool) {
	if scheme, rest, found := strings.Cut(text, "://"); found {
		port = map[string]uint32{"http": 80, "https": 443}[scheme]
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		text = rest
	}
	host, number, found := strings.Cut(text, ":")
	if found {
		number, _, _ = strings.Cut(number, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = uint32(n)
	}
	return host, port, host != "" && !strings.ContainsAny(host, "/{}$@")
}
