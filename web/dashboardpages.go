package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// page is one embedded file, as it is sent.
type page struct {
	content, packed []byte // packed is by gzip; nil where that gains nothing
	mime, etag      string
}

// pages serves the embedded files. A path that is none, and has no file's ending, is a view of the dashboard, and gets
// its one document.
type pages struct {
	files map[string]page // by path, with its slash
	index []byte
}

// noncePlace stands in index.html where the nonce of styles goes.
const noncePlace = "__CSP_NONCE__"

func openPages() (*pages, error) {
	p := &pages{files: map[string]page{}}
	err := fs.WalkDir(dist, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "dist/index.html" {
			p.index = content
			return nil
		}
		p.files[strings.TrimPrefix(name, "dist")] = newPage(name, content)
		return nil
	})
	if err == nil && p.index == nil {
		err = errors.New("no index.html is embedded")
	}
	if err != nil {
		return nil, fmt.Errorf("open pages: %w", err)
	}
	return p, nil
}

func newPage(name string, content []byte) page {
	sum := sha256.Sum256(content)
	out := page{content: content, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, mime: mimeOf(name)}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content) // a Buffer takes everything
	if z.Close() == nil && b.Len() < len(content)*9/10 {
		out.packed = b.Bytes()
	}
	return out
}

// mimeOf does not depend on what the machine has in its tables.
func mimeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".webmanifest":
		return "application/json"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%.20s %.200s: pages are read only", r.Method, r.URL.Path))
		return
	}
	f, ok := p.files[r.URL.Path]
	switch {
	case ok:
		f.serve(w, r)
	case strings.HasPrefix(r.URL.Path, "/assets/") || r.URL.Path == "/favicon.ico":
		refuse(w, http.StatusNotFound, fmt.Errorf("read page %.200s: there is no such file", r.URL.Path))
	default:
		p.document(w)
	}
}

// serve sends a file, or says that the browser has it already.
func (f *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache") // names are fixed: the ETag says whether it is the same
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mime)
	content := f.content
	if f.packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		content = f.packed
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

// document sends the dashboard's one document, with a fresh nonce for the styles that its editor makes.
func (p *pages) document(w http.ResponseWriter) {
	var raw [18]byte
	_, _ = rand.Read(raw[:]) // never fails
	nonce := base64.StdEncoding.EncodeToString(raw[:])
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; img-src 'self' data: blob:; "+
		"connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	_, _ = w.Write(bytes.ReplaceAll(p.index, []byte(noncePlace), []byte(nonce)))
}
