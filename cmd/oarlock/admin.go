package main

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
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/spf13/cobra"
)

// maxAdmin bounds the answer of a sidecar, in bytes.
const maxAdmin = 256 << 20

// podAdmin is the admin socket of one pod's sidecar.
type podAdmin struct {
	pod  *api.Pod
	http http.Client
}

// sidecar gives the admin socket of a pod's sidecar; nothing is opened yet.
func (m *runningMesh) sidecar(p *api.Pod) (*podAdmin, error) {
	if !p.Sidecar {
		return nil, usage(fmt.Errorf("ask sidecar of %s: the pod has none", podWord(p)), "oarlock ps")
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return m.engine.Admin(ctx, podRef(p)) }
	return &podAdmin{p, http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// podSidecar finds a pod by its name, and its sidecar.
func (a *app) podSidecar(ctx context.Context, m *runningMesh, arg string) (*podAdmin, error) {
	s, err := m.podsOnly(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.chosenPod(s, arg)
	if err != nil {
		return nil, err
	}
	return m.sidecar(p)
}

// ask asks the sidecar and gives the whole answer. A body makes it a POST.
func (s *podAdmin) ask(ctx context.Context, path string, body []byte) ([]byte, error) {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sidecar"+path, content)
	if err != nil {
		return nil, s.failed(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return nil, s.failed(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAdmin))
	if err != nil {
		return nil, s.failed(err)
	}
	if res.StatusCode/100 != 2 {
		return nil, s.failed(errors.New(refusedWhy(text, res.Status)))
	}
	return text, nil
}

// refusedWhy reads the reason out of a sidecar's refusal.
func refusedWhy(text []byte, status string) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		return answer.Error
	}
	if why := strings.TrimSpace(string(text)); why != "" {
		return why
	}
	return status
}

func (s *podAdmin) failed(err error) error {
	return unreadable(fmt.Errorf("ask sidecar of %s: %w", podWord(s.pod), err), "oarlock logs "+quoteWord(podWord(s.pod))+" -c istio-proxy --tail 20")
}

// completePods completes the name of a pod of the running mesh.
func (a *app) completePods(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, noFiles
	}
	m, err := a.attach(cmd.Context(), "completion")
	if err != nil {
		return nil, noFiles
	}
	defer m.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	s, err := m.plane.Status(ctx)
	if err != nil {
		return nil, noFiles
	}
	var out []string
	pods := m.knownPods(s)
	for i := range pods {
		if w := podWord(&pods[i]); strings.HasPrefix(w, prefix) {
			out = append(out, w)
		}
	}
	return out, noFiles
}
