package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oarlock/oarlock/meshtest"
)

// asCommand makes the test binary the command itself, so that tests run real processes without a build.
const asCommand = "OARLOCK_TEST_AS_PROXY"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asCommand, "1")
	return path
}

func TestCommandLine(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		{"--help", 0, "usage: oarlock-proxy", ""},
		{"--version", 0, "oarlock-proxy ", ""},
		{"", 2, "", "want --bootstrap FILE"},
		{"--bootstrap a b", 2, "", "want --bootstrap FILE and nothing else"},
		{"--loud", 2, "", "flag provided but not defined"},
		{"--bootstrap " + filepath.Join(folder, "none"), 2, "", "read bootstrap: open "},
		{"--bootstrap " + write("typo.json", `{"nod": {}}`), 2, "", `unknown field "nod"`},
		{"--bootstrap " + write("nothing.json", `{}`), 2, "", "nothing to do"},
		{"--bootstrap " + write("static.json", `{"staticResources": {"clusters": [{"name": "a", "type": "MAGIC"}]}}`), 2, "", "read staticResources: "},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(c.args), &stdout, &stderr); got != c.status {
			t.Errorf("%s: status %d, want %d", c.args, got, c.status)
		}
		if !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("%s:\n%s\n%s\nwant %q and %q", c.args, &stdout, &stderr, c.stdout, c.stderr)
		}
	}
}

// TestProcess holds that a process ends in order on SIGTERM.
func TestProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked at on Linux alone")
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "b.json")
	if err := os.WriteFile(file, []byte(`{"staticResources": {}, "admin": {"socket": "`+folder+`/a.sock"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self(t), "--bootstrap", file)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	admin := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", folder+"/a.sock")
	}}}
	eventually(t, "ready", func() bool {
		resp, err := admin.Get("http://admin/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, &out)
	}
	if _, err := os.Stat(folder + "/a.sock"); err == nil {
		t.Error("the admin socket is left behind")
	}
}

// TestPair holds that the pair for measurements works, with requests and with bytes.
func TestPair(t *testing.T) {
	meshtest.Require(t, "sh", "dash")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer app.Close()
	for _, mode := range []string{"http", "tcp"} {
		t.Run(mode, func(t *testing.T) {
			folder, client := t.TempDir(), address(t)
			certificates(t, folder)
			cmd := exec.CommandContext(t.Context(), "sh", "testdata/pair.sh", self(t))
			cmd.Env = append(os.Environ(), "DIR="+folder, "BACKEND="+app.Listener.Addr().String(), "CLIENT="+client, "SERVER="+address(t), "MODE="+mode)
			cmd.SysProcAttr = ownGroup()
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				endGroup(cmd.Process.Pid)
				_ = cmd.Wait() // by a signal
			}()
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			eventually(t, "through the pair", func() bool {
				resp, err := c.Get("http://" + client)
				if err != nil {
					return false
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				return err == nil && resp.StatusCode == http.StatusOK && string(b) == "hello"
			})
			eventually(t, "logged", func() bool {
				b, err := os.ReadFile(filepath.Join(folder, "server-access.log"))
				return err == nil && len(b) > 0
			})
		})
	}
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// address gives one of loopback on which nobody listens, with a port that no system gives to others by itself.
func address(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.N(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// certificates writes what pair.sh wants.
func certificates(t testing.TB, folder string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"test"}}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	rootKey := key(t)
	write("ca.pem", "CERTIFICATE", sign(t, root, root, rootKey, rootKey))
	for i, name := range []string{"client", "server"} {
		k := key(t)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
			URIs:        []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/bench/sa/" + name}},
			NotBefore:   root.NotBefore, NotAfter: root.NotAfter}
		write(name+".pem", "CERTIFICATE", sign(t, leaf, root, k, rootKey))
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".key", "PRIVATE KEY", der)
	}
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, c, parent *x509.Certificate, k, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
