package mesh_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oarlock/oarlock/mesh"
)

// TestSecretsStayHidden: whatever prints, logs or marshals a Secret, or what holds one, shows no value.
func TestSecretsStayHidden(t *testing.T) {
	s := &mesh.Secret{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.KindSecret, Namespace: "shop", Name: "db"}},
		Data: map[string]mesh.SecretValue{"password": mesh.NewSecretValue("hunter2")}}
	snap := &mesh.Snapshot{Secrets: []*mesh.Secret{s}}
	var out strings.Builder
	for _, v := range []any{s, *s, s.Data, s.Data["password"], snap, []*mesh.Secret{s}, []mesh.Secret{*s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("read", "secret", s, "copy", *s, "value", s.Data["password"], "data", s.Data)
	}
	out.Write(log.Bytes())
	for _, form := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is shown", form)
		}
	}
	for _, want := range []string{"Secret shop/db", "(hidden)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if s.Data["password"].Reveal() != "hunter2" {
		t.Error("the value is lost")
	}
}
