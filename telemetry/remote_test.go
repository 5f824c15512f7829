package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

func TestPrometheusGoesAndComes(t *testing.T) {
	t.Parallel()
	s := newSidecar(t, "web-0.shop", web)
	p := newPrometheus(t, []Target{s.target()}, nil)
	r, err := Connect("http://"+p.address, Options{Interval: live, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	eventually(t, "up", func() error {
		if h := r.Health(t.Context()); h.Up != 1 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	p.kill()
	eventually(t, "no answer while it is away", func() error { // one of before is shared, and a connection of before may be tried
		_, err := r.Flows(t.Context(), metrics.Window{})
		if err == nil || !strings.HasPrefix(err.Error(), "query flows: ask prometheus http://"+p.address) || !strings.Contains(err.Error(), "refused") {
			return fmt.Errorf("%v", err)
		}
		return nil
	})
	if _, err = r.Trend(t.Context(), metrics.TrendQuery{}); err == nil {
		t.Error("a trend while it is away")
	}
	if h := r.Health(t.Context()); h.OK || h.Problem == "" || h.Kind != "prometheus" {
		t.Errorf("health while it is away: %+v", h)
	}
	p.start(t)
	eventually(t, "counts again", func() error {
		traffic(s, metrics.Source)
		o, err := r.Flows(t.Context(), metrics.Window{Length: time.Minute})
		if err != nil {
			return err
		}
		if len(o.Flows) == 0 {
			return fmt.Errorf("no flows")
		}
		return nil
	})
	eventually(t, "health afterwards", func() error {
		if h := r.Health(t.Context()); !h.OK || h.Problem != "" || h.Retention != 15*24*time.Hour || h.Series == 0 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// answering is a server that says one thing.
func answering(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRemoteErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"another server", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }, "no prometheus answers there"},
		{"not found", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such page", http.StatusNotFound) }, "404"},
		{"no credentials", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you", http.StatusUnauthorized) }, "credentials"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // who has read the request hears that the client has gone
			<-r.Context().Done()
		}, "no answer within 300ms"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[`)
			row := strings.Repeat(`{"metric":{"a":"b"},"value":[1,"1"]},`, 1000)
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, row); err != nil {
					return
				}
			}
		}, "too large"},
		{"an error of its own", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(422)
			fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"query processing would load too many samples"}`)
		}, "too many samples"},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := time.Minute
			if c.name == "slow" {
				timeout = 300 * time.Millisecond
			}
			url := strings.Replace(answering(t, c.answer), "http://", "http://oar:s3cret@", 1)
			r, err := Connect(url, Options{Timeout: timeout})
			if err != nil {
				t.Fatal(err)
			}
			r.maxResponse = 1 << 20
			defer r.Close()
			_, err = r.Flows(t.Context(), metrics.Window{})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if h := r.Health(t.Context()); h.OK || h.Problem == "" || strings.Contains(fmt.Sprintf("%+v", h), "s3cret") {
				t.Errorf("health %+v", h)
			}
		})
	}
}

func TestConnectRefuses(t *testing.T) {
	for _, address := range []string{"", "prometheus:9090", "ftp://x:s3cret@host/", "http://", "http://a:s3cret@[::1/"} {
		if _, err := Connect(address, Options{}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	var got string
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	})
	file := filepath.Join(t.TempDir(), "token")
	for _, token := range []string{"one", "two"} { // it is read each time
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Connect(url+"/prefix/", Options{TokenFile: file, Interval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.number(t.Context(), "1"); err != nil || got != "Bearer "+token {
			t.Errorf("%q, %v", got, err)
		}
		r.Close()
	}
	r, err := Connect(strings.Replace(url, "://", "://oar:lock@", 1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.number(t.Context(), "1"); err != nil || got != "Basic b2FyOmxvY2s=" {
		t.Errorf("%q, %v", got, err)
	}
	if h := r.Health(t.Context()); h.Address != url || !h.OK || !strings.Contains(h.Problem, "no series of sidecars") {
		t.Errorf("%+v", h)
	}
}

func TestPatience(t *testing.T) {
	asked, over := make(chan struct{}, 100), make(chan struct{})
	url := answering(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	})
	t.Cleanup(func() { close(over) }) // before the server closes
	r, err := Connect(url, Options{Interval: time.Second, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := r.Flows(ctx, metrics.Window{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
