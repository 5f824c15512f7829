package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oarlock/oarlock/api"
	"github.com/oarlock/oarlock/mesh"
	"golang.org/x/sync/errgroup"
)

// Bounds of what sidecars are asked.
const (
	maxAdmin   = 64 << 20 // bytes of an answer
	maxInfo    = 1 << 20
	adminTime  = 2 * time.Second // for small answers
	askAtOnce  = 16
	certAge    = 5 * time.Second
	certsShown = 20
	lateBy     = time.Minute // a renewal may take so long before it counts as late
)

// admin asks the sidecar of a pod at its admin socket and gives the body of the answer. A body makes it a POST.
func (a *API) admin(ctx context.Context, pod mesh.Ref, path string, body []byte) (io.ReadCloser, error) {
	fail := func(err error) error {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("ask sidecar of %s.%s: %w", pod.Name, pod.Namespace, err)
	}
	line := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return a.opt.Engine.Admin(ctx, pod)
	}}
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sidecar"+path, content)
	if err != nil {
		return nil, fail(err)
	}
	res, err := (&http.Client{Transport: line}).Do(req)
	if err != nil {
		return nil, fail(err)
	}
	if res.StatusCode/100 != 2 {
		defer res.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return nil, fail(errors.New(cmp.Or(strings.TrimSpace(string(text)), res.Status)))
	}
	return res.Body, nil
}

// adminJSON asks for a small answer.
func (a *API) adminJSON(ctx context.Context, pod mesh.Ref, path string, body []byte, into any) error {
	in, err := a.admin(ctx, pod, path, body)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := json.NewDecoder(io.LimitReader(in, maxInfo)).Decode(into); err != nil {
		return fmt.Errorf("ask sidecar of %s.%s: %w", pod.Name, pod.Namespace, err)
	}
	return nil
}

// certificates is GET /v1/certificates.
func (a *API) certificates(r *http.Request) (any, error) {
	list, err := a.allCertificates(r.Context())
	if err != nil {
		return nil, wrong(http.StatusServiceUnavailable, "list certificates: %w", err)
	}
	return &api.Certificates{Head: head("Certificates"), Certificates: list}, nil
}

// allCertificates are those of all sidecars, first to expire first. They are asked for at most every few seconds, and the
// answer is shared: nobody changes it.
func (a *API) allCertificates(ctx context.Context) ([]api.Certificate, error) {
	return a.certs.get(ctx, struct{}{}, nil, func(ctx context.Context) ([]api.Certificate, error) {
		n := a.opt.Mesh.Now()
		out := []api.Certificate{}
		if n.Running == nil {
			return out, nil
		}
		var pods []mesh.Ref
		for i := range n.Running.Pods {
			p := &n.Running.Pods[i]
			if p.Workload.Capture == mesh.CaptureSidecar && p.Phase == mesh.PhaseRunning {
				pods = append(pods, p.Workload.Ref)
			}
		}
		out = make([]api.Certificate, len(pods))
		var group errgroup.Group
		group.SetLimit(askAtOnce)
		for i, pod := range pods {
			group.Go(func() error {
				out[i] = a.certificate(ctx, pod)
				return nil
			})
		}
		_ = group.Wait() // none gives an error
		slices.SortStableFunc(out, func(x, y api.Certificate) int {
			return cmp.Or(x.NotAfter.Compare(y.NotAfter), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Pod, y.Pod))
		})
		return out, nil
	})
}

// certificate asks one sidecar. Its key stays there.
func (a *API) certificate(ctx context.Context, pod mesh.Ref) api.Certificate {
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	out := api.Certificate{Namespace: pod.Namespace, Pod: pod.Name, State: "unknown"}
	var info struct {
		Identity *struct {
			ID        string    `json:"id"`
			NotBefore time.Time `json:"not_before"`
			NotAfter  time.Time `json:"not_after"`
			RenewAt   time.Time `json:"renew_at"`
			LastError string    `json:"last_error"`
		} `json:"identity"`
	}
	if err := a.adminJSON(ctx, pod, "/server_info", nil, &info); err != nil {
		out.Problem = err.Error()
		return out
	}
	if info.Identity == nil {
		out.Problem = "the sidecar has no certificate yet"
		return out
	}
	id := info.Identity
	out.ID, out.NotBefore, out.NotAfter = id.ID, id.NotBefore, id.NotAfter
	out.Serial, out.Issuer = a.serial(ctx, pod)
	now := time.Now()
	switch out.State = "ok"; {
	case !now.Before(id.NotAfter):
		out.State, out.Problem = "expired", cmp.Or(id.LastError, "it was not renewed")
	case now.After(id.RenewAt.Add(lateBy)):
		out.State, out.Problem = "due", cmp.Or(id.LastError, "its renewal is late")
	}
	return out
}

// serial gives the serial number of a sidecar's certificate, and who signed it.
func (a *API) serial(ctx context.Context, pod mesh.Ref) (serial, issuer string) {
	type details struct {
		Serial string              `json:"serial_number"`
		Names  []map[string]string `json:"subject_alt_names"`
	}
	var certs struct {
		Certificates []struct {
			CA    []details `json:"ca_cert"`
			Chain []details `json:"cert_chain"`
		} `json:"certificates"`
	}
	if a.adminJSON(ctx, pod, "/certs", nil, &certs) != nil || len(certs.Certificates) == 0 {
		return "", ""
	}
	one := certs.Certificates[0]
	if len(one.Chain) > 0 {
		serial = one.Chain[0].Serial
	}
	signers := one.CA
	if len(one.Chain) > 1 {
		signers = one.Chain[1:]
	}
	if len(signers) > 0 {
		issuer = "authority " + signers[0].Serial
		for _, n := range signers[0].Names {
			issuer = cmp.Or(n["uri"], issuer)
		}
	}
	return serial, issuer
}

// proxyConfig is GET /v1/proxy: what the sidecar itself says, letter by letter.
func (a *API) proxyConfig(w http.ResponseWriter, r *http.Request) {
	pod, err := a.podParam(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	in, err := a.admin(ctx, pod.Workload.Ref, "/config_dump", nil)
	if err != nil {
		a.refuse(w, r, &problem{http.StatusServiceUnavailable, err})
		return
	}
	defer in.Close()
	w.Header().Set("Content-Type", contentJSON)
	_, _ = io.Copy(w, io.LimitReader(in, maxAdmin))
}

// podParam finds the running pod that the parameter names.
func (a *API) podParam(r *http.Request) (*mesh.Pod, error) {
	word := r.FormValue("pod")
	namespace, name, ok := strings.Cut(word, "/")
	if !ok || namespace == "" || name == "" {
		return nil, bad("find pod %.100q: want NAMESPACE/POD", word)
	}
	if running := a.opt.Mesh.Now().Running; running != nil {
		for i := range running.Pods {
			if p := &running.Pods[i]; p.Workload.Ref.Namespace == namespace && p.Workload.Ref.Name == name {
				return p, nil
			}
		}
	}
	return nil, wrong(http.StatusNotFound, "find pod %.100q: no such pod runs", word)
}
