package xdsclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	udpav1 "github.com/cncf/xds/go/udpa/type/v1"
	xdsv3 "github.com/cncf/xds/go/xds/type/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/oarlock/oarlock/proxy"
)

// AccessLogFunc makes the access log of one path. The format is text in Envoy's command operators, or a JSON object of
// them, or neither: then it is Envoy's default. An error refuses the listener that wants it.
type AccessLogFunc func(path, text string, json []byte) (proxy.AccessLog, error)

// A translation is one resource on its way to a type of package proxy. It keeps what it leaves out.
type translation struct {
	logs    AccessLogFunc
	ignored []string

	before parts // of the version before
	parts  parts
	kept   []partKey // of parts, in order
}

// ignore counts something that it does no harm to leave out.
func (t *translation) ignore(name string) { t.ignored = append(t.ignored, name) }

// fields refuses a message with a field that is set and in neither list, and counts those of the second. Lists have names as
// in the proto file, with blanks between.
func (t *translation) fields(m proto.Message, obeyed, harmless string) error {
	var refused []string
	r := m.ProtoReflect()
	all := r.Descriptor().Fields() // Range would make a value of each field that is set
	for i := range all.Len() {
		if !r.Has(all.Get(i)) {
			continue
		}
		name := string(all.Get(i).Name())
		switch {
		case hasWord(obeyed, name):
		case hasWord(harmless, name):
			t.ignore(string(r.Descriptor().Name()) + "." + name)
		default:
			refused = append(refused, name)
		}
	}
	// A field that this build has never heard of cannot be judged. As Envoy does with those that come over xDS, count it.
	if n, _, _ := protowire.ConsumeTag(r.GetUnknown()); n > 0 {
		t.ignore(fmt.Sprintf("%s.%d", r.Descriptor().Name(), n))
	}
	if len(refused) == 0 {
		return nil
	}
	slices.Sort(refused)
	return fmt.Errorf("%s.%s is not supported", r.Descriptor().Name(), strings.Join(refused, ", "))
}

// hasWord says whether a list of words with blanks between has a word.
func hasWord(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// An extension is a typed configuration, taken out of a TypedStruct if it was in one: then body is nil, since the sidecar
// obeys no field of those that come so.
type extension struct {
	url  string // after the last slash
	body *anypb.Any
}

// extensionOf reads a typed configuration. Without one, what counts is the name, as older control planes have it.
func extensionOf(name string, c *anypb.Any) (extension, error) {
	if c == nil {
		return extension{url: name}, nil
	}
	url := afterSlash(c.TypeUrl)
	switch url {
	case "udpa.type.v1.TypedStruct":
		s := &udpav1.TypedStruct{}
		if err := decode(c, s); err != nil {
			return extension{}, err
		}
		return extension{url: afterSlash(s.TypeUrl)}, nil
	case "xds.type.v3.TypedStruct":
		s := &xdsv3.TypedStruct{}
		if err := decode(c, s); err != nil {
			return extension{}, err
		}
		return extension{url: afterSlash(s.TypeUrl)}, nil
	}
	return extension{url: url, body: c}, nil
}

func afterSlash(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// decode reads an Any into a message of the type that its URL names.
func decode(a *anypb.Any, m proto.Message) error {
	want := string(m.ProtoReflect().Descriptor().FullName())
	if got := afterSlash(a.GetTypeUrl()); got != want {
		return fmt.Errorf("decode %s: it is a %q", want, got)
	}
	if err := proto.Unmarshal(a.Value, m); err != nil {
		return fmt.Errorf("decode %s: %w", want, err)
	}
	return nil
}

// orNegative gives a duration where an explicit zero of Envoy's is "never", and nothing its default.
func orNegative(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if v := d.AsDuration(); v != 0 {
		return v
	}
	return -1
}

// ownMetadata is the key of what Oarlock's control plane says about a cluster or a chain; field "policy" of it names the
// object that decided.
const ownMetadata = "oarlock"

// metadataText is a text of a resource's metadata, "" if there is none.
func metadataText(m *corev3.Metadata, filter, field string) string {
	return m.GetFilterMetadata()[filter].GetFields()[field].GetStringValue()
}

// texts reads a struct whose values are all texts; others are left out.
func texts(s *structpb.Struct) map[string]string {
	if len(s.GetFields()) == 0 {
		return nil
	}
	out := make(map[string]string, len(s.Fields))
	for k, v := range s.Fields {
		if v, ok := v.Kind.(*structpb.Value_StringValue); ok {
			out[k] = v.StringValue
		}
	}
	return out
}

// each translates a list and names the one that failed by its kind and place.
func each[M, R any](list []M, kind string, one func(M) (R, error)) ([]R, error) {
	out := make([]R, 0, len(list))
	for i, m := range list {
		r, err := one(m)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", kind, i, err)
		}
		out = append(out, r)
	}
	return out, nil
}

var errNoName = errors.New("it has no name")
