package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// GraphQuery says which part of the graph is wanted. The zero value is all of it, over the default window.
type GraphQuery struct {
	Window     time.Duration // how far back observations go; 0 is the default
	Namespaces []string      // only what touches these; none is all
	Expand     []string      // groups that are not to be collapsed; "*" is all
	Layout     bool          // also say where to draw everything
}

// Graph says who calls whom, with the three witnesses.
func (c *Client) Graph(ctx context.Context, q GraphQuery) (*Graph, error) {
	v := url.Values{"namespace": q.Namespaces, "expand": q.Expand}
	if !q.Layout {
		v.Set("layout", "false")
	}
	return ask[Graph](ctx, c, http.MethodGet, "/v1/graph?"+windowed(v, q.Window), nil)
}

// Overview gives the mesh at a glance, over a window; 0 is the default.
func (c *Client) Overview(ctx context.Context, window time.Duration) (*Overview, error) {
	return ask[Overview](ctx, c, http.MethodGet, "/v1/overview?"+windowed(url.Values{}, window), nil)
}

func windowed(v url.Values, window time.Duration) string {
	if window > 0 {
		v.Set("window", window.String())
	}
	return v.Encode()
}

// TapQuery says which lines of access logs are wanted; "" does not narrow them.
type TapQuery struct {
	Edge, Node, Namespace string // IDs of an edge and of a node of the graph, and a namespace
}

// Tap calls yield for every line of the access logs that is written from now on, until ctx ends, yield gives an error, or
// the control plane ends the stream. It gives that error, or ctx's.
func (c *Client) Tap(ctx context.Context, q TapQuery, yield func(*LogLine) error) error {
	v := url.Values{}
	for name, value := range map[string]string{"edge": q.Edge, "node": q.Node, "namespace": q.Namespace} {
		if value != "" {
			v.Set(name, value)
		}
	}
	res, err := c.send(ctx, http.MethodGet, "/v1/tap?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return readEvents(res.Body, func(data []byte) error {
		var l LogLine
		if err := json.Unmarshal(data, &l); err != nil {
			return fmt.Errorf("ask control plane: %w", err)
		}
		return yield(&l)
	})
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
