package api

import (
	"bufio"
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

// ask sends a question and reads the answer.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	res, err := c.send(ctx, question{method: method, path: path, body: body})
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

// follow calls yield for each event of a stream, until ctx ends, yield gives an error, or the control plane ends the stream. It
// gives that error, or ctx's.
func follow[T any](ctx context.Context, c *Client, q question, yield func(*T) error) error {
	res, err := c.send(ctx, q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return readEvents(res.Body, func(data []byte) error {
		var one T
		if err := json.Unmarshal(data, &one); err != nil {
			return fmt.Errorf("ask control plane: %w", err)
		}
		return yield(&one)
	})
}

// open gives an answer as it is. The reader is the caller's to close.
func (c *Client) open(ctx context.Context, path string) (io.ReadCloser, error) {
	res, err := c.send(ctx, question{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

type question struct {
	method, path string
	body         any    // nil is none
	after        uint64 // the ID of the last event that is known, 0 for none
}

// send sends a question and gives the answer, whose body is the caller's to close. An answer that is an Error is an error.
func (c *Client) send(ctx context.Context, q question) (*http.Response, error) {
	var content io.Reader
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("ask control plane: %w", err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "http://oarlock"+q.path, content)
	if err != nil {
		return nil, fmt.Errorf("ask control plane: %w", err)
	}
	req.Header.Set(ClientHeader, "cli")
	if c.User != "" {
		req.Header.Set(UserHeader, c.User)
	}
	if q.after != 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatUint(q.after, 10))
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

// readEvents calls yield for what each event of a stream carries. Names, IDs and comments are passed over.
func readEvents(r io.Reader, yield func(data []byte) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxEvent)
	var data []byte
	for in.Scan() {
		line := in.Bytes()
		switch rest, ok := bytes.CutPrefix(line, []byte("data:")); {
		case ok && data != nil:
			data = append(append(data, '\n'), bytes.TrimPrefix(rest, []byte(" "))...)
		case ok:
			data = append([]byte{}, bytes.TrimPrefix(rest, []byte(" "))...)
		case len(line) == 0 && data != nil:
			if err := yield(data); err != nil {
				return err
			}
			data = nil
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("ask control plane: %w", err)
	}
	return fmt.Errorf("ask control plane: %w", io.EOF)
}
