package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/oarlock/oarlock/manifest"
	"github.com/oarlock/oarlock/mesh"
)

// taken is a reading that is in force.
type taken struct {
	snap     *mesh.Snapshot
	files    []manifest.File
	problems []mesh.Problem
}

// held is a reading that is not in force.
type held struct {
	why      string
	problems []mesh.Problem
}

// begin takes the first reading. Where it is broken, and the state folder has manifests that were taken before from the
// same places, those count.
func (p *Plane) begin(ctx context.Context) error {
	reading, files, err := p.opt.Source.ReadFiles(ctx)
	last, lastErr := p.loadTaken()
	if lastErr != nil && !errors.Is(lastErr, os.ErrNotExist) {
		p.log.Warn("manifests that were taken last cannot be read", "error", lastErr)
	}
	if err != nil && last == nil {
		return err
	}
	if last != nil {
		if why := broken(last, reading, err); why != "" {
			p.taken, p.held = *last, &held{why, reading.Problems}
			p.log.Warn("manifests are held back", "why", why)
			return nil
		}
		if last.snap.Version != reading.Snapshot.Version {
			p.before = last
		}
	}
	p.take(reading, files)
	return nil
}

// broken says in a clause why a reading must not take the place of the one in force; "" where it may. What could not be
// read would be missing, and with it perhaps a policy that protects something. An error that was there when the reading in
// force was taken is no reason: somebody has seen it and went on.
func broken(now *taken, next mesh.Reading, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case next.Snapshot.Documents == 0 && now.snap.Documents > 0:
		return "no document can be read there any more"
	case next.Snapshot.Config.TrustDomain != now.snap.Config.TrustDomain:
		return fmt.Sprintf("the trust domain is %s now, and a mesh that runs keeps its own, %s", next.Snapshot.Config.TrustDomain, now.snap.Config.TrustDomain)
	}
	for i := range next.Problems {
		e := &next.Problems[i]
		if e.Severity != mesh.Error {
			break // errors come first
		}
		if !slices.ContainsFunc(now.problems, func(k mesh.Problem) bool {
			return k.Severity == mesh.Error && k.Ref == e.Ref && k.Origin.File == e.Origin.File && k.Message == e.Message
		}) {
			return e.Error()
		}
	}
	return ""
}

// look reads the manifests and takes what is not broken. Only watch calls it.
func (p *Plane) look(ctx context.Context) {
	reading, files, err := p.opt.Source.ReadFiles(ctx)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	now := p.taken
	p.mu.Unlock()
	if why := broken(&now, reading, err); why != "" {
		p.log.Warn("manifests are held back", "why", why)
		p.mu.Lock()
		p.held = &held{why, reading.Problems}
		p.mu.Unlock()
		p.tell()
		return
	}
	p.take(reading, files)
	p.publish()
	p.tell()
	if reading.Snapshot.Version != now.snap.Version {
		p.log.Info("manifests taken", "version", reading.Snapshot.Version, "documents", reading.Snapshot.Documents, "problems", len(reading.Problems))
		p.wakeFeed()
	}
}

// take puts a reading in force.
func (p *Plane) take(r mesh.Reading, files []manifest.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken, p.held = taken{r.Snapshot, files, r.Problems}, nil
}

// takenFile holds the manifests that were last taken, for a restart while those of the day are broken.
const takenFile = "manifests.json"

// takenJSON is its form.
type takenJSON struct {
	Version int             `json:"version"`
	Places  []string        `json:"places"`
	Dialect string          `json:"dialect"`
	Files   []manifest.File `json:"files"`
}

const takenVersion = 1

func (p *Plane) loadTaken() (*taken, error) {
	text, err := os.ReadFile(p.stateFile(takenFile))
	if err != nil {
		return nil, err
	}
	var in takenJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	if in.Version != takenVersion || !slices.Equal(in.Places, p.opt.Source.Places()) {
		return nil, os.ErrNotExist
	}
	d, err := mesh.ParseDialect(in.Dialect)
	if err != nil {
		return nil, err
	}
	snap, problems := manifest.Load(in.Files, manifest.Options{Dialect: d})
	if snap.Documents == 0 {
		return nil, os.ErrNotExist
	}
	return &taken{snap, in.Files, problems}, nil
}

// saveTaken replaces the file whole. It may hold Secrets, so nobody else may read it.
func (p *Plane) saveTaken(t *taken) error {
	text, err := json.Marshal(takenJSON{takenVersion, p.opt.Source.Places(), t.snap.Dialect.String(), t.files})
	if err != nil {
		return err
	}
	name := p.stateFile(takenFile)
	f, err := os.CreateTemp(p.opt.State, "."+takenFile+"-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
