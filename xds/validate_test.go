package xds_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// validate runs Envoy's own rules over a message and over every message that it carries in an Any.
func validate(t testing.TB, name string, m proto.Message) {
	t.Helper()
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	inside(m.ProtoReflect(), func(a *anypb.Any) {
		if len(a.Value) == 0 && a.TypeUrl == "" {
			t.Errorf("%s: an Any without a type", name)
			return
		}
		in, err := a.UnmarshalNew()
		if err != nil {
			t.Errorf("%s: %s: %v", name, a.TypeUrl, err)
			return
		}
		validate(t, name, in)
	})
}

// inside calls do for every Any below a message, not for those inside other Anys.
func inside(m protoreflect.Message, do func(*anypb.Any)) {
	if a, ok := m.Interface().(*anypb.Any); ok {
		do(a)
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
				inside(e.Message(), do)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				inside(v.List().Get(i).Message(), do)
			}
		case !f.IsMap() && !f.IsList() && f.Message() != nil:
			inside(v.Message(), do)
		}
		return true
	})
}
