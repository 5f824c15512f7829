package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oarlock/oarlock/mesh"
	"github.com/oarlock/oarlock/resolve"
)

// meshOf makes a mesh of workloads written as "Kind ns/name", in the order of a snapshot.
func meshOf(names ...string) *loaded {
	s := &mesh.Snapshot{Dialect: mesh.DialectCurrent, Config: mesh.DefaultConfig()}
	for _, n := range names {
		kind, rest, _ := strings.Cut(n, " ")
		ns, name, _ := strings.Cut(rest, "/")
		s.Workloads = append(s.Workloads, &mesh.Workload{Object: mesh.Object{Ref: mesh.Ref{Kind: mesh.Kind(kind), Namespace: ns, Name: name}}})
	}
	return &loaded{snap: s, resolver: resolve.New(s)}
}

func TestClient(t *testing.T) {
	l := meshOf(
		"Deployment default/web", "Pod edge/v1.2.web",
		"Deployment job/web", "Deployment shop/reviews", "ReplicaSet shop/reviews-v1", "Deployment shop/web", "Pod shop/web-0", "StatefulSet shop/web",
		"Deployment test/api", "Deployment x/cart", "Deployment y/cart",
	)
	for _, c := range []struct {
		n    string // -n
		arg  string
		want string // or a part of the error after a "!"
	}{
		{"", "outside", "outside"},
		{"", "api", "Deployment test/api"},                      // unique in the mesh
		{"", "web", "Deployment default/web"},                   // default is asked first
		{"shop", "web", "!deploy/web.shop or sts/web.shop"},     // two workloads of one name
		{"shop", "sts/web", "StatefulSet shop/web"},             //
		{"", "sts/web", "StatefulSet shop/web"},                 //
		{"", "deploy/web.shop", "Deployment shop/web"},          //
		{"", "web-0.shop", "Pod shop/web-0"},                    // the pod itself, not the name that a StatefulSet would give
		{"", "shop/web-1", "StatefulSet shop/web"},              // generated
		{"", "web-7d4b9c6f8-x2z9k.job", "Deployment job/web"},   // a namespace called like a kind
		{"", "job/web", "Deployment job/web"},                   //
		{"", "pod/web-0", "Pod shop/web-0"},                     //
		{"", "pod/api", "!no such workload"},                    // api is no pod
		{"", "v1.2.web", "Pod edge/v1.2.web"},                   // dots in a pod's name
		{"", "v1.2.web.edge", "Pod edge/v1.2.web"},              //
		{"", "reviews-v1-x2z9k", "ReplicaSet shop/reviews-v1"},  // not a pod v1-x2z9k of reviews
		{"", "cart", "!deploy/cart.x or deploy/cart.y"},         // two namespaces, neither default
		{"test", "cart", "!no such workload"},                   //
		{"", "nothing", "!no such workload"},                    //
		{"shop", "web.default", "Deployment default/web"},       // the argument's namespace counts more than -n
		{"", "Deployment/api", "Deployment test/api"},           //
		{"", "ds/api", "!no such workload"},                     //
		{"", "api-7d4b9c6f8-x2z9k.test", "Deployment test/api"}, //
		{"", "test/api-7d4b9c6f8-x2z9k", "Deployment test/api"}, //
	} {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr, stdout: bufio.NewWriter(&stderr), flags: flags{namespace: c.n}}
		got, err := a.client(l, c.arg)
		wantErr, isErr := strings.CutPrefix(c.want, "!")
		switch {
		case isErr && (err == nil || !strings.Contains(err.Error(), wantErr)):
			t.Errorf("-n %q %s: error %v, want %q", c.n, c.arg, err, wantErr)
		case isErr:
		case err != nil:
			t.Errorf("-n %q %s: %v", c.n, c.arg, err)
		case got.Workload == nil && c.want != "outside", got.Workload != nil && got.Workload.Ref.String() != c.want:
			t.Errorf("-n %q %s: %v, want %s", c.n, c.arg, got.Workload, c.want)
		}
	}
}

// TestClientNameComesBack pastes every printed name into a command.
func TestClientNameComesBack(t *testing.T) {
	l := meshOf("Deployment default/outside", "Deployment default/web", "Deployment shop/web", "StatefulSet shop/web", "Pod shop/web-0")
	for _, w := range l.snap.Workloads {
		name := l.clientName(resolve.Client{Workload: w})
		got, err := (&app{}).client(l, name)
		if err != nil || got.Workload != w {
			t.Errorf("%s is printed as %s, which is read as %v, %v", w.Ref, name, got.Workload, err)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"details", "productpage", "ratings", "reviews", "db"}
	for typed, want := range map[string]string{
		"detials": "details", "productpge": "productpage", "reviws": "reviews", "ratngs": "ratings",
		"d": "db", "frontpage": "", "details-backend": "", "": "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
}

func TestAgain(t *testing.T) {
	a := &app{args: []string{"-f", "my dir", "explain", "web", "api:80"}}
	if got, want := a.again("web", "web.shop"), `oarlock -f 'my dir' explain web.shop api:80`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := a.againService("api", "api.shop.svc.cluster.local"), `oarlock -f 'my dir' explain web api.shop.svc.cluster.local:80`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := quoteWord("it's"), `'it'\''s'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestReachable: a control plane that was killed a moment ago is told from one that answers badly.
func TestReachable(t *testing.T) {
	at := filepath.Join(t.TempDir(), "api.sock")
	_, absent := net.Dial("unix", at)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	_, refused := net.Dial("unix", at)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{absent, false},
		{refused, false},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false},
		{errors.New("status 500"), true},
	} {
		if got := reachable(fmt.Errorf("ask control plane: %w", c.err)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
