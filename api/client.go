package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxAnswer bounds what a client reads, in bytes.
const maxAnswer = 256 << 20

// Client asks a control plane over its unix socket. Its methods may be called from any goroutine; their errors say
// `ask control plane: cause`, or are an *Error's message where it answered with one.
type Client struct{ http http.Client }

// NewClient makes a client of a socket. Nothing is opened yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status says how the mesh is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Manifests gives what the snapshot in force was read from.
func (c *Client) Manifests(ctx context.Context) (*Manifests, error) {
	return ask[Manifests](ctx, c, http.MethodGet, "/v1/manifests", nil)
}

// Reload looks at the manifests now.
func (c *Client) Reload(ctx context.Context, w Wrote) (*Reload, error) {
	return ask[Reload](ctx, c, http.MethodPost, "/v1/reload", w)
}

// Sync waits until a snapshot, or one after it, is in force on every sidecar, or for so long.
func (c *Client) Sync(ctx context.Context, snapshot string, wait time.Duration) (*Sync, error) {
	q := url.Values{"snapshot": {snapshot}, "wait": {wait.String()}}
	return ask[Sync](ctx, c, http.MethodGet, "/v1/sync?"+q.Encode(), nil)
}

// CA gives the authorities of the trust domain.
func (c *Client) CA(ctx context.Context) (*CA, error) {
	return ask[CA](ctx, c, http.MethodGet, "/v1/ca", nil)
}

// Rotate takes a step of a rotation.
func (c *Client) Rotate(ctx context.Context, r Rotate) (*CA, error) {
	return ask[CA](ctx, c, http.MethodPost, "/v1/ca/rotate", r)
}

func ask[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("ask control plane: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://oarlock"+path, content)
	if err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	defer res.Body.Close()
	dec := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK {
		var e Error
		if err := dec.Decode(&e); err != nil || e.Message == "" {
			return nil, fmt.Errorf("ask control plane: %s", res.Status)
		}
		return nil, errors.New(e.Message)
	}
	var out T
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	return &out, nil
}
