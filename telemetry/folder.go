package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// What is in a store's folder.
const (
	lockFile  = "lock"
	database  = "db"
	setAside  = "db.aside" // what could not be read, or is of a time that has not come; there is at most one
	asideNote = "WHY.txt"
)

// blockTime is how much time a block on disk covers before it is merged with others. What is younger, up to one and a half
// of it, is in memory and in the write-ahead log, and does not go by size.
const blockTime = 15 * time.Minute

// clockSlack is how far ahead of the clock the newest sample may be before it is of another time.
const clockSlack = time.Minute

var errClosed = errors.New("the store is closed")

// folder is a database on disk that can be exchanged for an empty one while it is in use.
type folder struct {
	path string
	opt  Options
	lock fileutil.Releaser

	folds *folds
	mu    sync.RWMutex // held for reading while the database is in use
	db    *tsdb.DB     // nil once closed
	// generation counts the databases there have been.
	generation storage.SeriesRef
	problem    string // what happened to the folder, for people

	unwritten atomic.Pointer[error] // of the last scrape
}

func openFolder(opt Options) (*folder, error) {
	if err := os.MkdirAll(opt.Folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(opt.Folder, 0o700); err != nil {
		return nil, err
	}
	lock, _, err := fileutil.Flock(filepath.Join(opt.Folder, lockFile))
	if err != nil {
		return nil, fmt.Errorf("another process uses %s: %w", opt.Folder, err)
	}
	if err := makePrivate(opt.Folder); err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	f := &folder{path: opt.Folder, opt: opt, lock: lock, folds: newFolds()}
	if err := f.open(); err != nil {
		err = f.startOver("it could not be read: " + err.Error())
		if err != nil {
			return nil, errors.Join(err, lock.Release())
		}
	}
	return f, nil
}

// makePrivate takes a folder, with all that a process of another umask has left in it, away from other users.
func makePrivate(folder string) error {
	return filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return err
		}
		return os.Chmod(name, info.Mode().Perm()&0o700)
	})
}

// open opens the database. The database repairs the end of its log by itself.
func (f *folder) open() (err error) {
	// A broken file may lead anywhere in code that trusts it.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	o := tsdb.DefaultOptions()
	o.NoLockfile = true // ours covers more
	o.RetentionDuration = f.opt.Retention.Milliseconds()
	o.MaxBytes = f.opt.MaxBytes
	o.MinBlockDuration = blockTime.Milliseconds()
	o.MaxBlockDuration = max(f.opt.Retention/10, blockTime).Milliseconds()
	o.WALSegmentSize = 16 << 20
	o.StripeSize = 1 << 10 // for a hundred thousand series, not for millions
	db, err := tsdb.Open(filepath.Join(f.path, database), f.logger(), prometheus.NewRegistry(), o, nil)
	if err != nil {
		return err
	}
	if newest := newestOf(db); newest > time.Now().Add(clockSlack).UnixMilli() {
		return errors.Join(f.ahead(newest), db.Close())
	}
	f.db = db
	return nil
}

// newestOf gives the time until which a database takes no more samples.
func newestOf(db *tsdb.DB) int64 {
	newest := db.Head().MaxTime()
	for _, b := range db.Blocks() {
		newest = max(newest, b.MaxTime()-1)
	}
	return newest
}

func (f *folder) logger() *slog.Logger { return slog.New(newSeldom(f.opt.Logger.Handler())) }

func (f *folder) ahead(newest int64) error {
	return fmt.Errorf("it has samples of %s, and by the clock that is to come", time.UnixMilli(newest).UTC().Format(time.RFC3339))
}

// startOver sets the database aside and opens an empty one. What was set aside before is removed.
func (f *folder) startOver(why string) error {
	old, aside := filepath.Join(f.path, database), filepath.Join(f.path, setAside)
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(old, aside); err != nil {
		return err
	}
	now := time.Now()
	text := fmt.Sprintf("%s: %s was set aside and an empty database begun in its place, because %s.\n"+
		"Nothing reads this folder. It may be deleted.\n", now.Format(time.RFC3339), database, why)
	if err := os.WriteFile(filepath.Join(aside, asideNote), []byte(text), 0o600); err != nil {
		f.opt.Logger.Warn("write note", "error", err)
	}
	f.opt.Logger.Warn("telemetry database set aside", "folder", aside, "why", why)
	f.generation = (f.generation + 1) % maxGenerations
	f.folds.reset()
	if err := f.open(); err != nil {
		return err
	}
	f.problem = fmt.Sprintf("what was seen before %s is set aside in %s: %s", now.Format("2006-01-02 15:04:05"), aside, why)
	return nil
}

// watchClock exchanges the database where its newest sample is ahead of the clock: it would take no sample until then.
func (f *folder) watchClock() {
	f.mu.RLock()
	db := f.db
	newest := int64(0)
	if db != nil {
		newest = newestOf(db)
	}
	f.mu.RUnlock()
	if newest <= time.Now().Add(clockSlack).UnixMilli() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db == nil {
		return
	}
	if err := f.db.Close(); err != nil {
		f.opt.Logger.Warn("close telemetry database", "error", err)
	}
	f.db = nil
	if err := f.startOver(f.ahead(newest).Error()); err != nil {
		f.problem = "the database could not be exchanged: " + err.Error()
		f.opt.Logger.Error("start over", "error", err)
	}
}

func (f *folder) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return nil
	}
	var err error
	if f.db != nil {
		err = f.db.Close()
	}
	err = errors.Join(err, f.lock.Release())
	f.db, f.lock = nil, nil
	return err
}

// use gives the database and keeps it open until release.
func (f *folder) use() (db *tsdb.DB, release func(), err error) {
	f.mu.RLock()
	if f.db == nil {
		f.mu.RUnlock()
		return nil, nil, errClosed
	}
	return f.db, sync.OnceFunc(f.mu.RUnlock), nil
}

// Appender is of storage.Appendable, for the scrapes.
func (f *folder) Appender(ctx context.Context) storage.Appender {
	db, release, err := f.use()
	if err != nil {
		return nowhere{}
	}
	return &appender{Appender: db.Appender(ctx), folder: f, generation: f.generation, release: release}
}

type appender struct {
	storage.Appender
	folder     *folder
	generation storage.SeriesRef
	folding    map[*fold]*folding
	release    func()
}

// Scrape loops remember references to series, and know nothing of a database that is exchanged: what they give back says
// which database it is of. A database's own references are far smaller.
const (
	generations    = 1 << 50
	maxGenerations = foldRef / generations
)

// A scrape says of itself how long it took and how much there was, in series that nobody asks for: as many as an idle sidecar
// has itself. They get this reference, which is not taken for a bucket's.
const (
	passedOver    = foldRef << 1
	scrapesReport = "scrape_"
)

// Append is of storage.Appender. Buckets wait for the others of their histogram.
func (a *appender) Append(ref storage.SeriesRef, ls labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	if ref == passedOver || ref == 0 && strings.HasPrefix(ls.Get(model.MetricNameLabel), scrapesReport) {
		return passedOver, nil
	}
	if ref == 0 || ref&foldRef != 0 {
		if given, s, ok := a.folder.folds.slot(ref, ls); ok {
			if a.folding == nil {
				a.folding = map[*fold]*folding{}
			}
			if a.folding[s.fold] == nil {
				a.folding[s.fold] = &folding{}
			}
			a.folding[s.fold].set(s.i, t, v)
			return given, nil
		}
	}
	if ref >= foldRef || ref/generations != a.generation {
		ref = 0
	}
	ref, err := a.Appender.Append(ref%generations, ls, t, v)
	return ref + a.generation*generations, err
}

// Commit is of storage.Appender.
func (a *appender) Commit() error {
	defer a.release()
	a.folder.folds.flush(a.Appender, a.folding)
	err := a.Appender.Commit()
	if err == nil {
		a.folder.unwritten.Store(nil)
	} else {
		a.folder.unwritten.Store(&err)
	}
	return err
}

// Rollback is of storage.Appender.
func (a *appender) Rollback() error {
	defer a.release()
	return a.Appender.Rollback()
}

// nowhere is for scrapes that end after the store. The methods that it does not have are for what is not scraped.
type nowhere struct{ storage.Appender }

// Append is of storage.Appender.
func (nowhere) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, errClosed
}

// SetOptions is of storage.Appender.
func (nowhere) SetOptions(*storage.AppendOptions) {}

// Commit is of storage.Appender.
func (nowhere) Commit() error { return errClosed }

// Rollback is of storage.Appender.
func (nowhere) Rollback() error { return nil }
