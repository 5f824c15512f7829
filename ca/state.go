package ca

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// StateFile is the one file in which an authority keeps everything, so that a rotation's step is on disk whole or not at
// all.
const StateFile = "authority.json"

// stateVersion is the form that is written. Every older one can be read.
const stateVersion = 1

// slots are the authorities of one trust domain, by what they are for.
type slots struct {
	prepared *slot // trusted, does not issue yet
	active   *slot // issues; never nil
	old      *slot // does not issue any more, still trusted; its key is gone
	advance  bool  // go on with the rotation as soon as each step is safe
	// spread is when everybody who holds an SVID got it together with trust in the prepared authority.
	spread time.Time
}

type stateJSON struct {
	Version     int       `json:"version"`
	TrustDomain string    `json:"trustDomain"`
	Advance     bool      `json:"advance,omitempty"`
	Spread      time.Time `json:"spread,omitzero"`
	Prepared    *slotJSON `json:"prepared,omitempty"`
	Active      *slotJSON `json:"active"`
	Old         *slotJSON `json:"old,omitempty"`
}

type slotJSON struct {
	Origin   string    `json:"origin"`
	Since    time.Time `json:"since"`
	LastLeaf time.Time `json:"lastLeaf,omitzero"`
	Cert     string    `json:"cert"`
	Key      string    `json:"key,omitempty"`
	Chain    string    `json:"chain,omitempty"`
	Roots    string    `json:"roots"`
}

// encodeState writes the slots as text.
func encodeState(trustDomain string, s slots) ([]byte, error) {
	out := stateJSON{Version: stateVersion, TrustDomain: trustDomain, Advance: s.advance, Spread: s.spread}
	var err error
	if out.Prepared, err = encodeSlot(s.prepared); err != nil {
		return nil, err
	}
	if out.Active, err = encodeSlot(s.active); err != nil {
		return nil, err
	}
	if out.Old, err = encodeSlot(s.old); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(out, "", "  ")
	return append(text, '\n'), err
}

func encodeSlot(s *slot) (*slotJSON, error) {
	if s == nil {
		return nil, nil
	}
	out := &slotJSON{
		Origin: s.origin, Since: s.since.UTC(), LastLeaf: s.savedLeaf.UTC(), Cert: certificatePEM(s.cert),
		Chain: string(certificatesPEM(s.chain...)), Roots: string(certificatesPEM(s.roots...)),
	}
	if s.key != nil {
		key, err := keyPEM(s.key)
		if err != nil {
			return nil, err
		}
		out.Key = string(key)
	}
	return out, nil
}

// decodeState reads what encodeState wrote, for the trust domain that it was written for.
func decodeState(text []byte, trustDomain string) (slots, error) {
	var in stateJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return slots{}, err
	}
	if in.Version != stateVersion {
		return slots{}, fmt.Errorf("version %d is not one that this program knows (newest: %d)", in.Version, stateVersion)
	}
	if in.TrustDomain != trustDomain {
		return slots{}, fmt.Errorf("it is the authority of %q, not of %q", in.TrustDomain, trustDomain)
	}
	out := slots{advance: in.Advance, spread: in.Spread}
	var err error
	if out.prepared, err = decodeSlot(in.Prepared); err != nil {
		return slots{}, fmt.Errorf("prepared authority: %w", err)
	}
	if out.active, err = decodeSlot(in.Active); err != nil {
		return slots{}, fmt.Errorf("active authority: %w", err)
	}
	if out.old, err = decodeSlot(in.Old); err != nil {
		return slots{}, fmt.Errorf("old authority: %w", err)
	}
	if out.active == nil || out.active.key == nil || out.prepared != nil && out.prepared.key == nil {
		return slots{}, errors.New("an authority or its key is missing")
	}
	return out, nil
}

func decodeSlot(in *slotJSON) (*slot, error) {
	if in == nil {
		return nil, nil
	}
	certs, err := parseCertificates([]byte(in.Cert))
	if err != nil {
		return nil, err
	}
	roots, err := parseCertificates([]byte(in.Roots))
	if err != nil {
		return nil, err
	}
	out := &slot{cert: certs[0], roots: roots, origin: in.Origin, since: in.Since, lastLeaf: in.LastLeaf, savedLeaf: in.LastLeaf}
	if in.Key != "" {
		if out.key, err = parseKey([]byte(in.Key)); err != nil {
			return nil, err
		}
		if !samePublic(out.cert.PublicKey, out.key.Public()) {
			return nil, errors.New("the key does not belong to the certificate")
		}
	}
	if in.Chain != "" {
		if out.chain, err = parseCertificates([]byte(in.Chain)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A keeper is the state's place on disk, or nowhere.
type keeper struct {
	file        string // "" keeps nothing
	trustDomain string
	text        []byte // what the file has, as far as this process knows; nil before there is one
}

// load reads the state. Without one yet, found is false.
func (k *keeper) load() (s slots, found bool, err error) {
	if k.file == "" {
		return slots{}, false, nil
	}
	if err := openFolder(filepath.Dir(k.file)); err != nil {
		return slots{}, false, err
	}
	text, err := readSecret(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return slots{}, false, nil
	}
	if err != nil {
		return slots{}, false, err
	}
	if s, err = decodeState(text, k.trustDomain); err != nil {
		return slots{}, false, fmt.Errorf("read %s: %w", k.file, err)
	}
	k.text = text
	return s, true, nil
}

// save writes the state. An error that wraps fs.ErrExist says that another process made the first one.
func (k *keeper) save(s slots) error {
	if k.file == "" {
		return nil
	}
	text, err := encodeState(k.trustDomain, s)
	if err != nil {
		return err
	}
	if k.text == nil {
		err = createFile(k.file, text)
	} else if !bytes.Equal(text, k.text) {
		err = replaceFile(k.file, k.text, text)
	}
	if err == nil {
		k.text = text
	}
	return err
}
