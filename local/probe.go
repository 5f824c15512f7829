package local

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	defaultPeriod   = 10 * time.Second
	defaultTimeout  = time.Second
	defaultFailures = 3
	maxProbeBody    = 10 << 10
)

// filled gives a probe with its defaults.
func (s probeSpec) filled() probeSpec {
	if s.Period <= 0 {
		s.Period = defaultPeriod
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	s.Successes = max(s.Successes, 1)
	if s.Failures <= 0 {
		s.Failures = defaultFailures
	}
	return s
}

// check makes the probe once, as a caller that is in no mesh. exec runs a command in the container.
func (s *probeSpec) check(ctx context.Context, exec func(context.Context, []string) (int, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	switch {
	case s.HTTP != "":
		return s.checkHTTP(ctx)
	case s.TCP != "":
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", s.TCP)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", s.TCP, cause(err))
		}
		return c.Close()
	case s.GRPC != "":
		return s.checkGRPC(ctx)
	case len(s.Exec) > 0:
		code, err := exec(ctx, s.Exec)
		if err == nil && code != 0 {
			err = fmt.Errorf("command exited with status %d", code)
		}
		return err
	}
	return nil
}

func (s *probeSpec) checkHTTP(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.HTTP, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kube-probe/oarlock")
	for _, h := range s.Headers {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		req.Header.Add(h.Name, h.Value)
	}
	// A connection of its own, without a proxy: a probe proves that a new caller gets in.
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer t.CloseIdleConnections()
	c := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", s.HTTP, cause(err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxProbeBody)
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return fmt.Errorf("GET %s: status %d", s.HTTP, resp.StatusCode)
	}
	return nil
}

func (s *probeSpec) checkGRPC(ctx context.Context) error {
	c, err := grpc.NewClient("passthrough:///"+s.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: s.Service}, grpc.WaitForReady(false))
	if err != nil {
		return fmt.Errorf("check health of %s: %w", s.GRPC, err)
	}
	if resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("check health of %s: %s", s.GRPC, resp.Status)
	}
	return nil
}

// cause takes the method and URL off, which the caller says better.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		if _, ok := err.(interface{ Timeout() bool }); !ok {
			return err
		}
		err = inner
	}
}
