package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// node is a value of Envoy's JSON. Fields are found whether they are spelled fieldName, as protobuf's JSON has it, or
// field_name, as Envoy's admin prints it. What is not there is the zero node.
type node struct{ v any }

// field goes down by the names of fields, in lowerCamelCase.
func (n node) field(names ...string) node {
	for _, name := range names {
		m, ok := n.v.(map[string]any)
		if !ok {
			return node{}
		}
		v, ok := m[name]
		if !ok {
			v = m[snake(name)]
		}
		n = node{v}
	}
	return n
}

// list gives the elements of a list.
func (n node) list() []node {
	l, _ := n.v.([]any)
	out := make([]node, len(l))
	for i, v := range l {
		out[i] = node{v}
	}
	return out
}

// text gives a string, or a number as one; "" for anything else.
func (n node) text() string {
	switch v := n.v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// texts gives a list of strings.
func (n node) texts() []string {
	var out []string
	for _, e := range n.list() {
		out = append(out, e.text())
	}
	return out
}

func (n node) there() bool { return n.v != nil }

// snake gives field_name for fieldName.
func snake(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// camelFields spells the fields of a message in lowerCamelCase, as istioctl prints them. The keys of a map, which are
// data, stay: those of metadata, of structs and of options by type.
func camelFields(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = camelFields(v[i])
		}
	case map[string]any:
		for k, e := range v {
			switch k {
			case "filter_metadata", "filterMetadata", "typed_filter_metadata", "labels":
			default:
				e = camelFields(e)
			}
			delete(v, k)
			v[camel(k)] = e
		}
	}
	return v
}

// camel gives fieldName for field_name, and leaves what is no field's name.
func camel(s string) string {
	if !strings.Contains(s, "_") || strings.ContainsAny(s, ".@/ ") {
		return s
	}
	var b strings.Builder
	up := false
	for _, r := range s {
		switch {
		case r == '_':
			up = true
			continue
		case up && r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}

// dump is an answer of /config_dump.
type dump struct{ configs []node }

// parseDump reads an answer of /config_dump.
func parseDump(text []byte) (*dump, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("read config_dump: %w", err)
	}
	d := &dump{node{v}.field("configs").list()}
	if len(d.configs) == 0 {
		return nil, fmt.Errorf("read config_dump: there are no configs in it")
	}
	return d, nil
}

// section gives the part of a type: "Clusters", "Listeners", "Routes", "Endpoints", "Secrets", "Bootstrap".
func (d *dump) section(kind string) node {
	for _, c := range d.configs {
		if strings.HasSuffix(c.field("@type").text(), "."+kind+"ConfigDump") || strings.HasSuffix(c.field("@type").text(), "."+kind+"Dump") {
			return c
		}
	}
	return node{}
}

// clusters lists every cluster, in the order of the dump: static ones first.
func (d *dump) clusters() []node {
	return d.under("Clusters", [][]string{{"staticClusters"}, {"dynamicActiveClusters"}}, "cluster")
}

// routes lists every route configuration.
func (d *dump) routes() []node {
	return d.under("Routes", [][]string{{"staticRouteConfigs"}, {"dynamicRouteConfigs"}}, "routeConfig")
}

// endpoints lists every assignment of endpoints, those that static clusters bring along included.
func (d *dump) endpoints() []node {
	out := d.under("Endpoints", [][]string{{"staticEndpointConfigs"}, {"dynamicEndpointConfigs"}}, "endpointConfig")
	seen := map[string]bool{}
	for _, e := range out {
		seen[e.field("clusterName").text()] = true
	}
	for _, c := range d.clusters() {
		if a := c.field("loadAssignment"); a.there() && !seen[a.field("clusterName").text()] {
			out = append(out, a)
		}
	}
	return out
}

// listeners lists every listener.
func (d *dump) listeners() []node {
	s := d.section("Listeners")
	out := d.under("Listeners", [][]string{{"staticListeners"}}, "listener")
	for _, l := range s.field("dynamicListeners").list() {
		if one := l.field("activeState", "listener"); one.there() {
			out = append(out, one)
		}
	}
	return out
}

// secrets lists every secret with its state.
func (d *dump) secrets() []secretState {
	var out []secretState
	s := d.section("Secrets")
	for _, state := range []struct{ field, word string }{
		{"staticSecrets", "ACTIVE"}, {"dynamicActiveSecrets", "ACTIVE"}, {"dynamicWarmingSecrets", "WARMING"},
	} {
		for _, one := range s.field(state.field).list() {
			out = append(out, secretState{one, state.word})
		}
	}
	return out
}

// secretState is one secret and whether it is in use.
type secretState struct {
	node
	state string
}

func (d *dump) under(kind string, lists [][]string, field string) []node {
	var out []node
	s := d.section(kind)
	for _, path := range lists {
		for _, e := range s.field(path...).list() {
			if one := e.field(field); one.there() {
				out = append(out, one)
			}
		}
	}
	return out
}

// plainNodes takes nodes apart for printing.
func plainNodes(list []node) []any {
	out := []any{}
	for _, n := range list {
		out = append(out, camelFields(n.v))
	}
	return out
}
