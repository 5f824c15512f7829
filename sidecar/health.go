package sidecar

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/oarlock/oarlock/bootstrap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// healthHandler answers whether the sidecar is ready, and makes the application's probes in the place of a prober that has
// no identity and would be refused under STRICT.
func (s *sidecar) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/ready", s.ready)
	client := probeClient()
	for path, p := range s.file.Admin.Probes {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), cmp.Or(time.Duration(p.Timeout), defaultProbeTimeout))
			defer cancel()
			status, text := probeApplication(ctx, client, p)
			w.Header().Set("Content-Type", textType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
	return mux
}

// defaultProbeTimeout is Kubernetes'.
const defaultProbeTimeout = time.Second

// probeClient asks as the kubelet does: a connection each, whatever certificate, and no redirect followed.
func probeClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DisableKeepAlives: true, DisableCompression: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// probeApplication gives the status and text to answer with. A status of the application is passed on.
func probeApplication(ctx context.Context, client *http.Client, p bootstrap.Probe) (int, string) {
	switch {
	case p.HTTP != "":
		return probeHTTP(ctx, client, p)
	case p.TCP != "":
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.TCP)
		if err != nil {
			return http.StatusServiceUnavailable, err.Error() + "\n"
		}
		conn.Close()
		return http.StatusOK, ""
	default:
		return probeGRPC(ctx, p)
	}
}

// maxProbeBody is how much of an answer is passed on.
const maxProbeBody = 10 << 10

func probeHTTP(ctx context.Context, client *http.Client, p bootstrap.Probe) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.HTTP, nil)
	if err != nil {
		return http.StatusInternalServerError, err.Error() + "\n"
	}
	req.Header.Set("User-Agent", "oarlock-probe")
	for k, v := range p.Headers {
		if http.CanonicalHeaderKey(k) == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return http.StatusServiceUnavailable, err.Error() + "\n"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeBody))
	if err != nil {
		return http.StatusServiceUnavailable, err.Error() + "\n"
	}
	return resp.StatusCode, string(body)
}

func probeGRPC(ctx context.Context, p bootstrap.Probe) (int, string) {
	conn, err := grpc.NewClient("passthrough:///"+p.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return http.StatusInternalServerError, err.Error() + "\n"
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.Service})
	if err != nil {
		return http.StatusServiceUnavailable, err.Error() + "\n"
	}
	if resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return http.StatusServiceUnavailable, fmt.Sprintf("%s\n", resp.Status)
	}
	return http.StatusOK, ""
}
