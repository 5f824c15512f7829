package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/oarlock/oarlock/mesh"
	"go.yaml.in/yaml/v3"
)

// apiVersion is that of every JSON and YAML answer; docs/json.md documents their shapes. A field may be added under the
// same version; one that changes its meaning or goes away needs another.
const apiVersion = "oarlock.dev/v1"

// format gives -o, or the first of words where it is not set, and refuses what the verb does not print.
func (a *app) format(words ...string) (string, error) {
	if a.flags.output == "" {
		return words[0], nil
	}
	if !slices.Contains(words, a.flags.output) {
		return "", usage(fmt.Errorf("parse flag --output %q: want one of %s", a.flags.output, strings.Join(words, ", ")), "")
	}
	return a.flags.output, nil
}

// document is the head of a JSON or YAML answer.
type document struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Dialect    string `json:"dialect,omitempty"`
	Snapshot   string `json:"snapshot,omitempty"` // version of the snapshot that the answer is about
}

// head makes the head of an answer about a mesh.
func head(kind string, s *mesh.Snapshot) document {
	return document{APIVersion: apiVersion, Kind: kind, Dialect: s.Dialect.String(), Snapshot: s.Version}
}

// print writes v as "json" or "yaml", its fields in the order of its types.
func (a *app) print(format string, v any) error {
	data, err := encode(v, "")
	if err != nil {
		return err
	}
	if format == "yaml" {
		return jsonToYAML(a.stdout, data)
	}
	_, err = a.stdout.Write(data)
	return err
}

// listWriter writes an answer that is a list of items, each when it comes: all verdicts of a large mesh are more than
// should be held in memory.
type listWriter struct {
	w      io.Writer
	format string
	n      int
}

// list begins a list as "json" or "yaml" with what stands before the items.
func (a *app) list(format string, d any) (*listWriter, error) {
	l := &listWriter{w: a.stdout, format: format}
	data, err := encode(d, "")
	if err != nil {
		return nil, err
	}
	if format == "yaml" {
		return l, jsonToYAML(l.w, data)
	}
	_, err = fmt.Fprintf(l.w, "%s,\n  \"items\": [", bytes.TrimSuffix(data, []byte("\n}\n")))
	return l, err
}

// add writes one item.
func (l *listWriter) add(item any) error {
	l.n++
	if l.format == "yaml" {
		return l.addYAML(item)
	}
	data, err := encode(item, "    ")
	if err != nil {
		return err
	}
	comma := ","
	if l.n == 1 {
		comma = ""
	}
	_, err = fmt.Fprintf(l.w, "%s\n    %s", comma, bytes.TrimSuffix(data, []byte("\n")))
	return err
}

func (l *listWriter) addYAML(item any) error {
	data, err := encode([]any{item}, "")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := jsonToYAML(&b, data); err != nil {
		return err
	}
	if l.n == 1 {
		fmt.Fprintln(l.w, "items:")
	}
	for line := range bytes.Lines(b.Bytes()) {
		if len(line) > 1 {
			line = append([]byte("  "), line...)
		}
		if _, err := l.w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// end closes the list. No item is an empty list, not null.
func (l *listWriter) end() error {
	last := "\n  ]\n}\n"
	switch {
	case l.format == "yaml" && l.n > 0:
		return nil
	case l.format == "yaml":
		last = "items: []\n"
	case l.n == 0:
		last = "]\n}\n"
	}
	_, err := io.WriteString(l.w, last)
	return err
}

// encode gives v as indented JSON, its fields in the order of its types, every line but the first after prefix.
func encode(v any, prefix string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("print json: %w", err)
	}
	return b.Bytes(), nil
}

// jsonToYAML keeps the order of the fields, which a decoded map would lose.
func jsonToYAML(w io.Writer, data []byte) error {
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("print yaml: %w", err)
	}
	blockStyle(&n)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return fmt.Errorf("print yaml: %w", err)
	}
	return enc.Close()
}

// blockStyle takes JSON's braces and quotes away, except where a reader would take the bare word for something else than
// a string: kubectl reads YAML 1.1, in which y and on are booleans.
func blockStyle(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if len(n.Content) == 0 && (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) {
		n.Style |= yaml.FlowStyle // {} and [] have no block form
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" && !oldBool(n.Value) {
		n.Style &^= yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		blockStyle(c)
	}
}

func oldBool(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return true
	}
	return false
}

// place is an object with where it was read.
type place struct {
	mesh.Ref
	mesh.Origin
}

// placeOf gives nil for no object, so that the field is left out.
func placeOf(r mesh.Ref, o mesh.Origin) *place {
	if r.IsZero() {
		return nil
	}
	return &place{r, o}
}
