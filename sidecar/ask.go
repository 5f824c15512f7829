package sidecar

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/oarlock/oarlock/probe"
)

// probeRequest is the body of POST /probe: what to try as this workload. The key signs in here and does not leave.
type probeRequest struct {
	Address    string   `json:"address"` // HOST:PORT, past the sidecar's own routes
	ServerName string   `json:"serverName,omitempty"`
	Host       string   `json:"host,omitempty"`
	ALPN       []string `json:"alpn,omitempty"` // one an attempt; absent is probe.DefaultALPN
	// Anonymous leaves the workload's certificate out.
	Anonymous    bool  `json:"anonymous,omitempty"`
	NoRequest    bool  `json:"noRequest,omitempty"`
	Milliseconds int64 `json:"timeoutMilliseconds,omitempty"` // of one attempt
}

// The bounds of one request for a probe.
const (
	maxProbeALPN    = 32
	maxProbeTimeout = 10 * time.Second
	maxProbeTotal   = 2 * time.Minute
)

// ask makes a probe as this workload and answers with a probe.Result.
func (s *sidecar) ask(w http.ResponseWriter, r *http.Request) {
	var q probeRequest
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("read probe: %w", err))
		return
	}
	p, err := s.prober(q)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxProbeTotal)
	defer cancel()
	result, err := p.Run(ctx)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	answerJSON(w, result)
}

func (s *sidecar) prober(q probeRequest) (*probe.Prober, error) {
	if len(q.ALPN) > maxProbeALPN {
		return nil, fmt.Errorf("read probe: %d names of ALPN, at most %d", len(q.ALPN), maxProbeALPN)
	}
	p := &probe.Prober{Address: q.Address, ServerName: q.ServerName, Host: q.Host, ALPN: q.ALPN, NoRequest: q.NoRequest,
		Timeout: min(time.Duration(q.Milliseconds)*time.Millisecond, maxProbeTimeout), Dial: s.dial}
	id := s.identity.Load()
	if id == nil {
		if !q.Anonymous {
			return nil, errors.New("probe: this sidecar has no identity; ask with anonymous")
		}
		return p, nil
	}
	p.Roots = x509.NewCertPool()
	for _, root := range id.State().Roots {
		p.Roots.AddCert(root)
	}
	if !q.Anonymous {
		cert, err := id.GetClientCertificate(nil)
		if err != nil {
			return nil, fmt.Errorf("probe: %w", err)
		}
		p.Certificate = cert
	}
	return p, nil
}
