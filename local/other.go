//go:build !linux

package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/oarlock/oarlock/mesh"
)

// errPlatform says where meshes run.
var errPlatform = errors.New("a mesh runs on Linux alone; on this system Oarlock reads manifests and clusters")

// Serve is for Linux alone.
func Serve(context.Context, string, *slog.Logger) error {
	return fmt.Errorf("run mesh: %w", errPlatform)
}

// Start is for Linux alone.
func Start(_ context.Context, o StartOptions) (*Client, error) {
	return nil, fmt.Errorf("start mesh %s: %w", o.Name, errPlatform)
}

// Stop is for Linux alone.
func Stop(_ context.Context, name string) error {
	return fmt.Errorf("stop mesh %s: %w", name, errPlatform)
}

// Stop is for Linux alone.
func (c *Client) Stop(ctx context.Context) error { return Stop(ctx, c.paths.Name) }

// Meshes finds none: they run on Linux alone.
func Meshes() ([]Mesh, error) { return nil, nil }

// Exec is for Linux alone.
func (c *Client) Exec(_ context.Context, pod mesh.Ref, _ mesh.Exec) (int, error) {
	return 0, fmt.Errorf("run command in %s: %w", pod, errPlatform)
}

// Dial is for Linux alone.
func (c *Client) Dial(_ context.Context, _, address string) (net.Conn, error) {
	return nil, fmt.Errorf("dial %s: %w", address, errPlatform)
}

func lowPorts() bool { return false }

func listeningNets() map[int]bool { return map[int]bool{} }
