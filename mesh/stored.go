package mesh

import (
	"fmt"
	"log/slog"
)

// ConfigMap is a Kubernetes ConfigMap with its decoded content.
type ConfigMap struct {
	Object
	Data map[string]string // data and binaryData, by key
}

// Secret is a Kubernetes Secret with its decoded content. Printed, logged or marshalled as JSON it shows its name alone.
type Secret struct {
	Object
	Type string // "Opaque" where nothing is said
	Data map[string]SecretValue
}

// String gives the name of the Secret and nothing of its content.
func (s *Secret) String() string { return s.Ref.String() }

// GoString gives what String gives.
func (s *Secret) GoString() string { return s.String() }

// LogValue gives what String gives.
func (s *Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// SecretValue is one value of a Secret. Only Reveal gives its content; printing, logging and marshalling do not.
type SecretValue struct{ value string }

// NewSecretValue hides a value.
func NewSecretValue(v string) SecretValue { return SecretValue{v} }

// Reveal gives the content, for the process that the Secret is meant for.
func (v SecretValue) Reveal() string { return v.value }

// hiddenValue is shown in place of a secret.
const hiddenValue = "(hidden)"

// String gives "(hidden)".
func (v SecretValue) String() string { return hiddenValue }

// GoString gives "(hidden)".
func (v SecretValue) GoString() string { return hiddenValue }

// Format prints "(hidden)", whatever the verb.
func (v SecretValue) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hiddenValue)) }

// LogValue gives "(hidden)".
func (v SecretValue) LogValue() slog.Value { return slog.StringValue(hiddenValue) }

// MarshalText gives "(hidden)", in JSON too.
func (v SecretValue) MarshalText() ([]byte, error) { return []byte(hiddenValue), nil }

// Unenforced is an object, or part of one, that a mesh on this machine does not enforce. It never counts as protection.
type Unenforced struct {
	Ref    Ref
	Origin Origin
	// Why is one clause, behind the field where a part is meant: "JSON web tokens are not checked",
	// "spec.http[0].fault: no request is delayed or aborted".
	Why string
}
