package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"github.com/oarlock/oarlock/local"
	"github.com/oarlock/oarlock/web"
	"github.com/spf13/cobra"
)

// The addresses of dashboards.
const (
	boardNone    = "none"
	boardDefault = "127.0.0.1:8626"
	boardAny     = "127.0.0.1:0" // where the default is taken
)

// boardFlags are those about the dashboard.
type boardFlags struct {
	address  string
	readOnly bool
}

func (f *boardFlags) addTo(cmd *cobra.Command) {
	p := cmd.Flags()
	p.StringVar(&f.address, "dashboard", "", "serve the dashboard at `HOST:PORT`, or none (default "+boardDefault+", or a free port)")
	p.BoolVar(&f.readOnly, "read-only", false, "let the dashboard change nothing")
}

func (f *boardFlags) check() error {
	if f.address == "" || f.address == boardNone {
		return nil
	}
	if _, _, err := net.SplitHostPort(f.address); err != nil {
		return usage(fmt.Errorf("parse flag --dashboard %q: want HOST:PORT or none", f.address), "")
	}
	return nil
}

func (f *boardFlags) arguments() []string {
	var out []string
	if f.address != "" {
		out = append(out, "--dashboard", f.address)
	}
	if f.readOnly {
		out = append(out, "--read-only")
	}
	return out
}

// boardFile is where the dashboard of a mesh says how to reach it, in the control plane's folder, mode 0600.
const boardFile = "dashboard.json"

// boardVersion is that of the file's form.
const boardVersion = 1

// boardAccess is the form of the file. It outlives a restart, so that a link that somebody has open stays good.
type boardAccess struct {
	Version int    `json:"version"`
	URL     string `json:"url"`
	Token   string `json:"token"`
}

// readBoard gives the zero value where there is none.
func readBoard(state string) (boardAccess, error) {
	text, err := os.ReadFile(filepath.Join(state, boardFile))
	if errors.Is(err, fs.ErrNotExist) {
		return boardAccess{}, nil
	}
	var b boardAccess
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err == nil && b.Version != boardVersion {
		err = fmt.Errorf("it has version %d, want %d", b.Version, boardVersion)
	}
	if err != nil {
		return boardAccess{}, fmt.Errorf("read %s: %w", filepath.Join(state, boardFile), plainCause(err))
	}
	return b, nil
}

// link is what a browser opens: the token is behind the #, so that it is in no request and no log.
func (b boardAccess) link() string { return b.URL + "/#token=" + url.QueryEscape(b.Token) }

// board opens the dashboard of a mesh; nil where there shall be none. own is the mesh besides those of this machine.
func (f *boardFlags) board(ctx context.Context, state string, own web.MeshSocket, log *slog.Logger) (*web.Dashboard, error) {
	if f.address == boardNone {
		if err := os.Remove(filepath.Join(state, boardFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("start dashboard: %w", err)
		}
		return nil, nil
	}
	access, err := readBoard(state)
	if err != nil {
		log.Warn("dashboard gets a new token", "cause", err)
	}
	l, err := f.listen(ctx, access.URL)
	if err != nil {
		return nil, fmt.Errorf("start dashboard: %w", err)
	}
	if access.Token == "" {
		access.Token = newToken()
	}
	access.Version, access.URL = boardVersion, "http://"+l.Addr().String()
	d, err := web.NewDashboard(l, web.DashboardOptions{Token: access.Token, ReadOnly: f.readOnly, Version: moduleVersion(), Log: log,
		Meshes: func(context.Context) ([]web.MeshSocket, error) { return meshSockets(own) }})
	if err == nil {
		var text []byte
		if text, err = json.Marshal(access); err == nil {
			err = writePrivate(filepath.Join(state, boardFile), string(text)+"\n")
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return d, nil
}

// listen takes the address that is asked for; else the last one, the default, or any.
func (f *boardFlags) listen(ctx context.Context, last string) (net.Listener, error) {
	var config net.ListenConfig
	if f.address != "" {
		return config.Listen(ctx, "tcp", f.address)
	}
	if u, err := url.Parse(last); err == nil && u.Host != "" {
		if l, err := config.Listen(ctx, "tcp", u.Host); err == nil {
			return l, nil
		}
	}
	if l, err := config.Listen(ctx, "tcp", boardDefault); err == nil {
		return l, nil
	}
	return config.Listen(ctx, "tcp", boardAny)
}

func newToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// meshSockets lists the meshes of this machine, and own.
func meshSockets(own web.MeshSocket) ([]web.MeshSocket, error) {
	all, err := local.Meshes()
	if err != nil {
		return nil, err
	}
	out := []web.MeshSocket{own}
	for _, m := range all {
		paths, err := local.PathsOf(m.Name)
		if err != nil || m.Name == own.Name {
			continue
		}
		one := web.MeshSocket{Name: m.Name, Socket: paths.Socket(apiSocket)}
		if m.Stale {
			one.Problem = "it does not run; it ended without being taken down"
		}
		out = append(out, one)
	}
	return out, nil
}

// boardLink is the link to the dashboard of a mesh, "" where it has none.
func boardLink(state string) string {
	b, err := readBoard(state)
	if err != nil || b.Token == "" {
		return ""
	}
	return b.link()
}
