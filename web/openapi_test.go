package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oarlock/oarlock/api"
)

// update rewrites web/openapi.json.
var update = flag.Bool("update", false, "write openapi.json")

// words are the values that fields of type string can have, by schema and property. A field that is not here is free.
func words() map[string][]string {
	locks, severity := []string{"locked", "mixed", "open", "broken", "unknown"}, []string{"error", "warning"}
	return map[string][]string{
		"Edge.lock": locks, "Share.lock": locks, "Finding.severity": {"error", "warning", "note"}, "Problem.severity": severity,
		"GraphNode.kind":    {"namespace", "workload", "service", "ingress", "egress", "outside"},
		"EdgeSource.kind":   {"call", "route", "sidecar-egress", "traffic"},
		"Effect.kind":       {"breaks", "mends", "opens", "locks", "other"},
		"MTLS.verb":         {"allow", "require", "disable", "unset"},
		"Certificate.state": {"ok", "due", "expired", "unknown"}, "Store.kind": {"embedded", "prometheus", "none"},
		"Change.who": {"dashboard", "command line", "files"}, "Rotate.step": {"", "prepare", "activate", "retire"},
		"Event.type": {"snapshot", "sync", "change", "held", "store", "picture", "reset"},
	}
}

// An object is a JSON object of the document.
type object = map[string]any

// document makes the OpenAPI document.
type document struct {
	words   map[string][]string
	docs    map[string]string // comments of package api, by "Type" and "Type.Field"
	schemas object
	bodies  bool // what is described is sent to the API, which refuses fields that it does not know
}

func newDocument(t *testing.T) *document {
	t.Helper()
	return &document{words: words(), docs: comments(t, "../api"), schemas: object{}}
}

// whole is the document.
func (d *document) whole() object {
	paths := object{}
	for _, r := range Routes() {
		p, _ := paths[r.Path].(object)
		if p == nil {
			p = object{}
			paths[r.Path] = p
		}
		p[strings.ToLower(r.Method)] = d.operation(&r)
	}
	for _, typ := range []reflect.Type{of[api.Error](), of[api.Event](), of[api.LogLine](), of[api.Meshes]()} {
		d.schema(typ)
	}
	return object{
		"openapi": "3.0.3",
		"info": object{"title": "Oarlock, the API of a mesh", "version": api.Version,
			"description": "Asked on the unix socket of a mesh's control plane. A dashboard has the same under /api/v1/meshes/NAME in place of /v1, and wants its cookie or token."},
		"paths":      paths,
		"components": object{"schemas": d.schemas},
	}
}

func (d *document) operation(r *Route) object {
	answer := object{"description": "The answer."}
	switch {
	case r.Answer != nil:
		answer["content"] = object{contentJSON: object{"schema": d.schema(r.Answer)}}
	case r.Content == "":
		answer["content"] = object{contentJSON: object{"schema": object{"type": "object"}}}
	default:
		answer["content"] = object{r.Content: object{"schema": object{"type": "string"}}}
	}
	out := object{
		"operationId": operationID(r), "summary": r.Summary,
		"responses": object{"200": answer, "default": object{"description": "It could not be done.",
			"content": object{contentJSON: object{"schema": d.schema(of[api.Error]())}}}},
	}
	var params []any
	for _, p := range r.Query {
		one := object{"name": p.Name, "in": "query", "description": p.Summary, "schema": object{"type": "string"}}
		if p.Required {
			one["required"] = true
		}
		if strings.Contains(p.Summary, "may be repeated") {
			one["schema"] = object{"type": "array", "items": object{"type": "string"}}
		}
		params = append(params, one)
	}
	if params != nil {
		out["parameters"] = params
	}
	if r.Body != nil {
		d.bodies = true
		out["requestBody"] = object{"required": r.Body != of[api.Wrote](), "content": object{contentJSON: object{"schema": d.schema(r.Body)}}}
		d.bodies = false
	}
	return out
}

// operationID is getCaRotate for GET /v1/ca/rotate.
func operationID(r *Route) string {
	out := strings.ToLower(r.Method)
	for _, part := range strings.FieldsFunc(strings.TrimPrefix(r.Path, "/v1/"), func(c rune) bool { return c == '/' || c == '.' }) {
		out += strings.ToUpper(part[:1]) + part[1:]
	}
	return out
}

// schema describes a type, and puts a struct among the schemas.
func (d *document) schema(t reflect.Type) object {
	switch {
	case t == of[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == of[[]byte]():
		return object{"type": "string", "format": "byte"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "format": "int64", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Pointer:
		return d.nullable(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		d.structure(t)
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	panic(fmt.Sprintf("type %s has no place in a schema", t))
}

// nullable describes what may be null. Beside a $ref nothing else counts in OpenAPI 3.0.
func (d *document) nullable(t reflect.Type) object {
	s := d.schema(t)
	if _, ref := s["$ref"]; ref {
		return object{"nullable": true, "allOf": []any{s}}
	}
	s["nullable"] = true
	return s
}

func (d *document) structure(t reflect.Type) {
	if d.schemas[t.Name()] != nil {
		return
	}
	s := object{"type": "object"}
	d.schemas[t.Name()] = s // before its fields, which may need it
	if text := d.docs[t.Name()]; text != "" {
		s["description"] = text
	}
	properties, required := object{}, []string{}
	d.fields(t, t.Name(), properties, &required)
	s["properties"] = properties
	if len(required) > 0 {
		slices.Sort(required)
		s["required"] = required
	}
	if d.bodies {
		s["additionalProperties"] = false
	}
}

// fields adds the fields of a struct, and in their place those of the structs that it embeds.
func (d *document) fields(t reflect.Type, name string, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, has := f.Tag.Lookup("json")
		if f.Anonymous && !has {
			d.fields(f.Type, name, properties, required)
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		optional := options != ""
		s := d.field(f.Type, optional)
		if list := d.words[name+"."+key]; list != nil {
			s["enum"] = list
		}
		if text := d.docs[t.Name()+"."+f.Name]; text != "" {
			if ref := s["$ref"]; ref != nil {
				s = object{"allOf": []any{object{"$ref": ref}}}
			}
			s["description"] = text
		}
		properties[key] = s
		if !optional {
			*required = append(*required, key)
		}
	}
}

// field describes a field: what is left out where it is nil is never null.
func (d *document) field(t reflect.Type, optional bool) object {
	if optional && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return d.schema(t)
}

// comments reads the comments of the types of a package and of their fields.
func comments(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	set := token.NewFileSet()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		tree, err := parser.ParseFile(set, dir+"/"+name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if group, ok := decl.(*ast.GenDecl); ok && group.Tok == token.TYPE {
				for _, spec := range group.Specs {
					typeComments(out, group, spec.(*ast.TypeSpec))
				}
			}
		}
	}
	return out
}

func typeComments(out map[string]string, group *ast.GenDecl, spec *ast.TypeSpec) {
	name := spec.Name.Name
	out[name] = oneLine(group.Doc, spec.Doc)
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, n := range f.Names {
			out[name+"."+n.Name] = oneLine(f.Doc, f.Comment)
		}
	}
}

func oneLine(groups ...*ast.CommentGroup) string {
	var words []string
	for _, g := range groups {
		words = append(words, strings.Fields(g.Text())...)
	}
	return strings.Join(words, " ")
}

// TestOpenAPI holds that the document is what Routes and the types say, that it is valid, and that docs has it.
func TestOpenAPI(t *testing.T) {
	d := newDocument(t)
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(d.whole()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want.Bytes(), openAPI) {
		t.Error("openapi.json is not what the types say: go test ./web -run TestOpenAPI -update")
	}
	linked, err := os.ReadFile("../docs/openapi.json")
	if err != nil || !bytes.Equal(linked, openAPI) {
		t.Errorf("docs/openapi.json is not the document: %v", err)
	}
	loaded, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name := range words() {
		schema, property, _ := strings.Cut(name, ".")
		if s := loaded.Components.Schemas[schema]; s == nil || s.Value.Properties[property] == nil {
			t.Errorf("there is no %s to have words", name)
		}
	}
}

// TestSchemasTakeNull holds that a field which may be null says so in a way that the validator understands.
func TestSchemasTakeNull(t *testing.T) {
	loaded, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	edge := loaded.Components.Schemas["Edge"].Value
	good := object{"id": "x", "from": "a", "to": "b", "declared": nil, "observed": nil, "proven": nil, "lock": "open", "sources": []any{}}
	if err := edge.VisitJSON(good); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]any{"lock": "ajar", "declared": 1.0, "sources": nil, "id": nil} {
		wrong := object{}
		for k, v := range good {
			wrong[k] = v
		}
		wrong[name] = value
		if edge.VisitJSON(wrong) == nil {
			t.Errorf("%s %v was taken", name, value)
		}
	}
}
