package demoapp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// httpServer answers HTTP/1.1 and, where the client begins with it or ALPN chooses it, HTTP/2.
//
//	/health      200, for probes; not counted
//	/stats       what was counted so far; not counted
//	/status/N    an empty answer of that status
//	/bytes/N     N bytes
//	/delay/D     an answer after that time, such as 100ms
//	/echo        the body of the request, while it comes
//	anything else makes all calls and answers who this is and what came of them; ?headers=1 adds the request's headers
type httpServer struct {
	app    *App
	listen Listen
	ln     net.Listener
	server *http.Server
}

func newHTTPServer(a *App, l Listen, ln net.Listener) *httpServer {
	s := &httpServer{app: a, listen: l, ln: ln}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{Handler: s.routes(), Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug)} // a probe that connects and leaves is no news
	return s
}

func (s *httpServer) addr() net.Addr { return s.ln.Addr() }

func (s *httpServer) serve() error {
	if err := s.server.Serve(s.ln); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func (s *httpServer) drain(ctx context.Context) {
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // out of time: what is left is cut off
	}
	_ = s.ln.Close() // where it never served
}

func (s *httpServer) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.app.Stats()) })
	for pattern, h := range map[string]http.HandlerFunc{"/": s.fanOut, "/status/{n}": answerStatus, "/bytes/{n}": answerBytes, "/delay/{d}": answerLater, "/echo": answerEcho} {
		mux.Handle(pattern, s.counted(h))
	}
	return mux
}

// counted delays, fails and counts as the application is told to.
func (s *httpServer) counted(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		// Also where the handler gives up by a panic, as it must when the client has gone.
		defer func() { s.app.counters.receive(s.listen, strconv.Itoa(rec.status), rec.status < 500) }()
		switch {
		case !s.app.dawdle(r.Context()):
			rec.status = 499 // the client has gone; nobody reads this
		case s.app.misfortune():
			http.Error(rec, "error by --error-rate", http.StatusInternalServerError)
		default:
			next(rec, r)
		}
	})
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the first final status.
func (r *recorder) WriteHeader(status int) {
	if status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer is what a service says.
type answer struct {
	Service string      `json:"service"`
	Version string      `json:"version"`
	Pod     string      `json:"pod"`
	Proto   string      `json:"proto"`
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Host    string      `json:"host"`
	Headers http.Header `json:"headers,omitempty"`
	Calls   []outcome   `json:"calls"`
	Padding string      `json:"padding,omitempty"`
}

// fanOut makes all calls at once and answers what came of them, with 200 even where they failed: an error belongs to the
// connection that has it.
func (s *httpServer) fanOut(w http.ResponseWriter, r *http.Request) {
	a := s.app
	out := answer{Service: a.cfg.Service, Version: a.cfg.Version, Pod: a.cfg.Pod, Proto: r.Proto, Method: r.Method,
		Path: r.URL.Path, Host: r.Host, Calls: make([]outcome, len(a.callers))}
	if r.URL.Query().Get("headers") != "" {
		out.Headers = r.Header
	}
	var calling sync.WaitGroup
	for i, c := range a.callers {
		calling.Go(func() { out.Calls[i] = a.make(r.Context(), c, r.Header) })
	}
	calling.Wait()
	out.Padding = string(bytes.Repeat([]byte("."), a.cfg.Body))
	answerJSON(w, out)
}

func answerJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // the client has gone, or it has not
}

func answerStatus(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 200 || n > 599 {
		http.Error(w, "want a status from 200 to 599", http.StatusBadRequest)
		return
	}
	w.WriteHeader(n)
}

func answerBytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n > 1<<30 {
		http.Error(w, fmt.Sprintf("want a number from 0 to %d", 1<<30), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	block := bytes.Repeat([]byte("."), min(n, 64<<10))
	for n > 0 && err == nil {
		var wrote int
		wrote, err = w.Write(block[:min(n, len(block))])
		n -= wrote
	}
}

func answerLater(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(r.PathValue("d"))
	if err != nil || d < 0 || d > time.Hour {
		http.Error(w, "want a duration up to 1h", http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
		_, _ = io.WriteString(w, "ok\n")
	case <-r.Context().Done():
	}
}

// answerEcho sends the body back while it comes, with its trailers.
func answerEcho(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	_ = out.EnableFullDuplex() // HTTP/2 is that anyway and says that it does not know
	if t := r.Header.Get("Content-Type"); t != "" {
		w.Header().Set("Content-Type", t)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = out.Flush() // the next write says if that failed
		}
		if err != nil {
			break
		}
	}
	for name, values := range r.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}
