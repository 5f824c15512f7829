package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// exportedSVID is the answer to /cert_export: PEM, under the names of Istio's files.
type exportedSVID struct {
	ID       string    `json:"id"`
	Key      string    `json:"key.pem"`
	Chain    string    `json:"cert-chain.pem"`
	Roots    string    `json:"root-cert.pem"`
	NotAfter time.Time `json:"notAfter"`
}

// exportRecord is a line of the audit file. It says that the key was given away and to whom, and nothing of the key.
type exportRecord struct {
	Version int       `json:"version"`
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	ID      string    `json:"id"`
	Serial  string    `json:"serial"` // of the certificate, in hex
	// UID and PID are of the process that asked, as the kernel says; -1 where it does not.
	UID int `json:"uid"`
	PID int `json:"pid"`
}

// certExport gives away key, chain and roots, after it has been written down that it does. Nothing is given that could
// not be recorded.
func (s *sidecar) certExport(w http.ResponseWriter, r *http.Request) {
	id := s.identity.Load()
	if id == nil {
		refuse(w, http.StatusServiceUnavailable, errors.New("export identity: there is none yet"))
		return
	}
	st := id.State()
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	uid, pid := peerOf(conn)
	rec := exportRecord{Version: 1, Time: time.Now().UTC(), Event: "cert_export", ID: st.ID.String(),
		Serial: st.Leaf.SerialNumber.Text(16), UID: uid, PID: pid}
	if err := s.record(rec); err != nil {
		s.log.Error("export identity: refused, since it cannot be recorded", "error", err)
		refuse(w, http.StatusInternalServerError, fmt.Errorf("record export: %w", err))
		return
	}
	s.log.Warn("the identity's key is exported", "id", rec.ID, "serial", rec.Serial, "uid", uid, "pid", pid)
	key, chain, roots, err := st.Export()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answerJSON(w, exportedSVID{ID: rec.ID, Key: string(key), Chain: string(chain), Roots: string(roots), NotAfter: st.Leaf.NotAfter})
}

// record appends a line to the audit file, if there is one, and waits until it is on the disk.
func (s *sidecar) record(rec exportRecord) error {
	if s.file.Admin.Audit == "" {
		return nil
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	s.audit.Lock()
	defer s.audit.Unlock()
	f, err := os.OpenFile(s.file.Admin.Audit, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
