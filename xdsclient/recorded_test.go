package xdsclient

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/oarlock/oarlock/meshtest"
	"github.com/oarlock/oarlock/proxy"
)

var _ = flag.Bool("update", false, "write the golden files")

// testLogs keeps the path alone.
func testLogs(path, text string, json []byte) (proxy.AccessLog, error) {
	if text == "" && json == nil {
		path += " (default format)"
	}
	return proxy.AccessLog{Path: path}, nil
}

// recorded reads the responses of a scenario, by kind.
func recorded(t testing.TB, scenario string) [kinds]*discoveryv3.DiscoveryResponse {
	t.Helper()
	var out [kinds]*discoveryv3.DiscoveryResponse
	for k := range kinds {
		url := k.url()
		b, err := os.ReadFile(filepath.Join("testdata", "istiod", scenario, url[strings.LastIndexByte(url, '.')+1:]+".pb"))
		if err != nil {
			t.Fatal(err)
		}
		out[k] = &discoveryv3.DiscoveryResponse{}
		if err := proto.Unmarshal(b, out[k]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestRecorded translates what istiod sent: everything is taken, but for the scenario that is made to be refused.
func TestRecorded(t *testing.T) {
	dirs, err := filepath.Glob("testdata/istiod/*/Listener.pb")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("%d scenarios, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		dir = filepath.Dir(dir)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var out strings.Builder
			var s state
			for k, resp := range recorded(t, filepath.Base(dir)) {
				var found set
				for _, raw := range resp.Resources {
					r, err := translate(kind(k), raw, testLogs, nil)
					if err != nil {
						fmt.Fprintf(&out, "NACK %v\n", err)
						continue
					}
					found.list = found.with([]named{{r.name, &entry{resource: r}}})
				}
				s[k] = newSet(found.list, nil)
			}
			if refused := strings.Contains(out.String(), "NACK"); refused != (filepath.Base(dir) == "refused") {
				t.Errorf("refused: %v\n%s", refused, out.String())
			}
			summarize(&out, s.config("recorded", nil, nil))
			ignored := s.ignored()
			for _, name := range slices.Sorted(maps.Keys(ignored)) {
				fmt.Fprintf(&out, "ignored %s: %d\n", name, ignored[name])
			}
			meshtest.Golden(t, filepath.Join(dir, "config.txt"), []byte(out.String()))
		})
	}
}

// summarize writes a configuration with one line for each listener, chain, cluster, endpoint, virtual host and route.
func summarize(out *strings.Builder, c *proxy.Config) {
	for _, l := range c.Listeners {
		head := *l
		head.Chains, head.Default = nil, nil
		fmt.Fprintf(out, "listener %s\n", short(head))
		for _, chain := range append(slices.Clone(l.Chains), l.Default) {
			if chain != nil {
				fmt.Fprintf(out, "  chain %s\n", short(*chain))
			}
		}
	}
	for _, one := range c.Clusters {
		head := *one
		head.Endpoints = nil
		fmt.Fprintf(out, "cluster %s\n", short(head))
		for _, e := range one.Endpoints {
			fmt.Fprintf(out, "  endpoint %s\n", short(e))
		}
	}
	for _, table := range c.Routes {
		fmt.Fprintf(out, "routes %s\n", table.Name)
		for _, h := range table.Hosts {
			fmt.Fprintf(out, "  host %s %v\n", h.Name, h.Domains)
			for _, r := range h.Routes {
				fmt.Fprintf(out, "    route %s\n", short(*r))
			}
		}
	}
}

// short prints a value without the fields that are zero.
func short(v any) string { return shortValue(reflect.ValueOf(v)) }

func shortValue(v reflect.Value) string {
	if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer {
		return s.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return shortValue(v.Elem())
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() && v.Type().Field(i).IsExported() {
				parts = append(parts, v.Type().Field(i).Name+":"+shortValue(f))
			}
		}
		return "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, shortValue(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v.Interface())
}
