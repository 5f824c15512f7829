package proxy

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Metadata is what Istio's proxies tell each other of themselves: a protobuf Struct, here read and written by hand because
// nothing else of this package needs protobuf, and a handful of its strings are all that counts.
const (
	metadataID   = "x-envoy-peer-metadata-id"
	metadataBody = "x-envoy-peer-metadata"
)

// encodePeer is the Struct of the exchange on connections: an id and the metadata.
func encodePeer(self Peer, id string) []byte {
	out := appendField(nil, metadataID, stringValue(id))
	return appendField(out, metadataBody, structValue(encodeMetadata(self)))
}

// encodeMetadata is the metadata alone, as it is in the header of a request.
func encodeMetadata(self Peer) []byte {
	var labels []byte
	for _, l := range [][2]string{
		{"app", self.App}, {"version", self.Version},
		{"service.istio.io/canonical-name", self.CanonicalService}, {"service.istio.io/canonical-revision", self.CanonicalRevision},
	} {
		if l[1] != "" {
			labels = appendField(labels, l[0], stringValue(l[1]))
		}
	}
	out := appendField(nil, "CLUSTER_ID", stringValue(self.Cluster))
	out = appendField(out, "LABELS", structValue(labels))
	out = appendField(out, "NAMESPACE", stringValue(self.Namespace))
	return appendField(out, "WORKLOAD_NAME", stringValue(self.Workload))
}

func appendField(b []byte, key string, value []byte) []byte {
	entry := protowire.AppendTag(nil, 1, protowire.BytesType)
	entry = protowire.AppendString(entry, key)
	entry = protowire.AppendTag(entry, 2, protowire.BytesType)
	entry = protowire.AppendBytes(entry, value)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendBytes(b, entry)
}

func stringValue(s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), s)
}

func structValue(fields []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), fields)
}

// decodePeer reads what encodePeer writes.
func decodePeer(b []byte) (Peer, error) {
	var out Peer
	err := eachField(b, func(key, text string, nested []byte) error {
		if key != metadataBody {
			return nil
		}
		var err error
		out, err = decodeMetadata(nested)
		return err
	})
	return out, err
}

// decodeMetadata reads what encodeMetadata writes, and what Envoy writes in its place. The principal is not there: that is
// for a certificate to say.
func decodeMetadata(b []byte) (Peer, error) {
	var out Peer
	err := eachField(b, func(key, text string, nested []byte) error {
		switch key {
		case "WORKLOAD_NAME":
			out.Workload = text
		case "NAMESPACE":
			out.Namespace = text
		case "CLUSTER_ID":
			out.Cluster = text
		case "LABELS":
			return eachField(nested, func(key, text string, _ []byte) error {
				setLabel(&out, key, text)
				return nil
			})
		}
		return nil
	})
	return out, err
}

func setLabel(p *Peer, key, value string) {
	switch key {
	case "app":
		p.App = value
	case "version":
		p.Version = value
	case "service.istio.io/canonical-name":
		p.CanonicalService = value
	case "service.istio.io/canonical-revision":
		p.CanonicalRevision = value
	}
}

// eachField calls yield for each field of a Struct whose value is a string or a Struct.
func eachField(b []byte, yield func(key, text string, nested []byte) error) error {
	return eachBytes(b, 1, func(entry []byte) error {
		var key, text string
		var nested []byte
		if err := eachBytes(entry, 1, func(k []byte) error { key = string(k); return nil }); err != nil {
			return err
		}
		err := eachBytes(entry, 2, func(value []byte) error {
			if err := eachBytes(value, 3, func(s []byte) error { text = string(s); return nil }); err != nil {
				return err
			}
			return eachBytes(value, 5, func(s []byte) error { nested = s; return nil })
		})
		if err != nil {
			return err
		}
		return yield(key, text, nested)
	})
}

// eachBytes calls yield for each length-delimited field of a number.
func eachBytes(b []byte, number protowire.Number, yield func([]byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("read metadata: %w", protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(field, kind, b[n:])
		if size < 0 {
			return fmt.Errorf("read metadata: %w", protowire.ParseError(size))
		}
		if field == number && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[n:])
			if err := yield(value); err != nil {
				return err
			}
		}
		b = b[n+size:]
	}
	return nil
}
