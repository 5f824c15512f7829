package xdsclient

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/oarlock/oarlock/proxy"
)

// TestPartsChangeNothing: a listener that takes pieces over from another is the same as one made from nothing, in what it
// leaves out too, and pieces that both have are the same pointer.
func TestPartsChangeNothing(t *testing.T) {
	var list []*anypb.Any
	dirs, err := filepath.Glob("testdata/istiod/*/Listener.pb")
	if err != nil || len(dirs) < 7 {
		t.Fatalf("%d scenarios, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		for _, raw := range recorded(t, filepath.Base(filepath.Dir(dir)))[kindListener].Resources {
			if _, err := translate(kindListener, raw, testLogs, nil); err == nil && nameOf(raw.Value) == "virtualInbound" {
				list = append(list, raw)
			}
		}
	}
	var before *resource
	shared := 0
	for range 2 {
		for i, raw := range list {
			fresh, err := translate(kindListener, raw, testLogs, nil)
			if err != nil {
				t.Fatal(err)
			}
			next, err := translate(kindListener, raw, testLogs, before)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(fresh.listener, next.listener) || !reflect.DeepEqual(fresh.ignored, next.ignored) {
				t.Errorf("listener %d is another after one before it:\n%s\n%s", i, next.show(), fresh.show())
			}
			if len(next.parts) != len(fresh.parts) {
				t.Errorf("listener %d keeps %d parts, %d of its own", i, len(next.parts), len(fresh.parts))
			}
			if before != nil {
				shared += sameChains(before.listener, next.listener)
			}
			before = next
		}
	}
	if len(list) < 5 || shared < 10 {
		t.Errorf("%d listeners with %d chains that the one before had: that cannot be all", len(list), shared)
	}
}

func sameChains(a, b *proxy.Listener) int {
	n := 0
	for _, x := range a.Chains {
		for _, y := range b.Chains {
			if x == y {
				n++
			}
		}
	}
	return n
}

// TestPlainFields: the numbers by which a message is passed without looking closer are those of fields that are obeyed.
func TestPlainFields(t *testing.T) {
	for _, c := range []struct {
		m      proto.Message
		plain  uint64
		cut    []int
		obeyed string
	}{
		{&listenerv3.Listener{}, plainListener, []int{fieldChains, fieldLogs, fieldDefault}, listenerObeyed},
		{&listenerv3.FilterChain{}, plainChain, []int{fieldFilters, fieldSocket, fieldMatch, fieldMetadata}, chainObeyed},
		{&listenerv3.FilterChainMatch{}, plainMatch, nil, matchObeyed},
	} {
		all, sum := c.plain, uint64(0)
		for _, n := range c.cut {
			all |= 1 << n
		}
		for name := range strings.FieldsSeq(c.obeyed) {
			f := c.m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
			if f == nil {
				t.Fatalf("%T has no field %s", c.m, name)
			}
			sum |= 1 << f.Number()
		}
		if all != sum {
			t.Errorf("%T: fields %b are passed or cut out, %b are obeyed", c.m, all, sum)
		}
	}
}
