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
	"strconv"
	"time"
)

// Bounds of what a client reads, in bytes.
const (
	maxAnswer = 256 << 20
	maxError  = 1 << 20
	maxEvent  = 1 << 20 // of one line
)

// Client asks a control plane over its unix socket. Its methods may be called from any goroutine; their errors say
// `ask control plane: cause`, or are a *RefusedError where it answered with an Error.
type Client struct {
	// User is the account in whose name is asked, for the list of changes; "" says nothing.
	User string

	http http.Client
}

// RefusedError is the answer of a control plane that did not do what it was asked.
type RefusedError struct {
	Status  int    // of HTTP: 400 bad, 404 unknown, 409 stale or without agreement, 422 not possible, 503 something is away
	Message string // `verb object: cause`
}

// Error gives the message.
func (e *RefusedError) Error() string { return e.Message }

// Headers that say who asks: ClientHeader is "cli" or "dashboard", UserHeader the name of an account.
const (
	ClientHeader = "Oarlock-Client"
	UserHeader   = "Oarlock-User"
)

// NewClient makes a client of a socket. Nothing is opened yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{http: http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}}}
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

// ask sends a question and reads the answer.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	res, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var out T
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&out); err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	return &out, nil
}

// send sends a question and gives the answer, whose body is the caller's to close. An answer that is an Error is an error.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
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
	req.Header.Set(ClientHeader, "cli")
	if c.User != "" {
		req.Header.Set(UserHeader, c.User)
	}
	if after, ok := ctx.Value(lastEventKey{}).(uint64); ok {
		req.Header.Set("Last-Event-ID", strconv.FormatUint(after, 10))
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
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var e Error
	if err := json.NewDecoder(io.LimitReader(res.Body, maxError)).Decode(&e); err != nil || e.Message == "" {
		return nil, fmt.Errorf("ask control plane: %s", res.Status)
	}
	return nil, &RefusedError{res.StatusCode, e.Message}
}
