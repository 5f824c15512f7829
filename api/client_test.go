package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answering gives a client of a server on a unix socket.
func answering(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "oar") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	c := NewClient(l.Addr().String())
	t.Cleanup(func() { c.Close(); s.Close(); <-done })
	return c
}

func TestAskGraphAndOverview(t *testing.T) {
	var asked []string
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		fmt.Fprint(w, `{"kind":"Graph","mesh":"m","locks":{"broken":2}}`)
	})
	g, err := c.Graph(t.Context(), GraphQuery{Window: time.Minute, Namespaces: []string{"a", "b"}, Expand: []string{"*"}})
	if err != nil || g.Mesh != "m" {
		t.Fatal(g, err)
	}
	if _, err := c.Graph(t.Context(), GraphQuery{Layout: true}); err != nil {
		t.Fatal(err)
	}
	o, err := c.Overview(t.Context(), 0)
	if err != nil || o.Locks.Broken != 2 {
		t.Fatal(o, err)
	}
	want := "GET /v1/graph?expand=%2A&layout=false&namespace=a&namespace=b&window=1m0s\nGET /v1/graph?\nGET /v1/overview"
	if got := strings.Join(asked, "\n"); got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestTap(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("namespace") == "none" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"message":"find namespace \"none\": no such namespace"}`)
			return
		}
		fmt.Fprint(w, ": hello\n\nid: 1\nevent: line\ndata: {\"pod\":\"web-1\",\ndata: \"code\":200}\n\ndata: {\"pod\":\"web-2\"}\n\n")
	})
	var got []string
	err := c.Tap(t.Context(), TapQuery{Namespace: "shop", Node: "n", Edge: "e"}, func(l *LogLine) error {
		got = append(got, fmt.Sprint(l.Pod, l.Code))
		return nil
	})
	if !errors.Is(err, io.EOF) || strings.Join(got, " ") != "web-1200 web-20" {
		t.Errorf("%v, %v", got, err)
	}
	enough := errors.New("enough")
	if err := c.Tap(t.Context(), TapQuery{}, func(*LogLine) error { return enough }); err != enough {
		t.Errorf("stopped with %v", err)
	}
	if err := c.Tap(t.Context(), TapQuery{Namespace: "none"}, nil); err == nil || err.Error() != `find namespace "none": no such namespace` {
		t.Errorf("refused with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Tap(ctx, TapQuery{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled with %v", err)
	}
}
