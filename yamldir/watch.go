package yamldir

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatchOptions are the settings of Watch. The zero value is good.
type WatchOptions struct {
	// Settle is how long it must be quiet before a change is told, default 5 ms. A change is told after ten times that
	// even if it never gets quiet.
	Settle time.Duration
	// Poll is how often to look where the system gives no notice, default 500 ms.
	Poll time.Duration
	// Log hears once if the system gives no notice. Default: nowhere.
	Log *slog.Logger
}

const (
	defaultSettle = 5 * time.Millisecond
	defaultPoll   = 500 * time.Millisecond
	// impatience is how many times Settle a change waits for quiet at most.
	impatience = 10
	// doubt is how often, in Polls, to look although no notice came: not every file system gives them.
	doubt = 20
	// leisure is the least time between two looks without a cause, in times of what one look takes.
	leisure = 50
)

// Watch tells when what Read would give may have changed since Watch was called: a file with a manifest's name was
// written, replaced, removed or linked anew, a folder came or went. What is told is "look again", in a channel of size one:
// many changes are one word, and nobody who is slow holds anything up. The channel is closed when ctx has ended and
// nothing of the watch is left. Standard input and pipes never change.
func (d *Dir) Watch(ctx context.Context, opt WatchOptions) <-chan struct{} {
	opt.Settle = cmp.Or(opt.Settle, defaultSettle)
	opt.Poll = cmp.Or(opt.Poll, defaultPoll)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	w := &watch{dir: d, opt: opt, tell: make(chan struct{}, 1), watched: map[string]bool{}}
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		w.poll(err)
	}
	w.notices = notices
	w.look(ctx)
	go w.run(ctx)
	return w.tell
}

// watch is one Watch. The system's notices say only when to look: what counts is a look at every name, size and time.
// So whatever way an editor saves, and however notices are lost, there is one notion of a change.
type watch struct {
	dir     *Dir
	opt     WatchOptions
	tell    chan struct{}
	notices *fsnotify.Watcher // nil: there are none
	watched map[string]bool   // folders
	polling bool              // some folder has no notices
	warned  bool              // and it was said
	seen    [sha256.Size]byte // what the last look came to
	took    time.Duration     // by the last look
}

func (w *watch) run(ctx context.Context) {
	defer close(w.tell)
	var events <-chan fsnotify.Event
	var failures <-chan error
	if w.notices != nil {
		defer w.notices.Close()
		events, failures = w.notices.Events, w.notices.Errors
	}
	for {
		idle := time.NewTimer(w.pause())
		select {
		case <-ctx.Done():
			idle.Stop()
			return
		case e := <-events:
			if e.Op == fsnotify.Chmod {
				break // content is what counts; a file that can be read at last is met by the next look
			}
			w.settle(ctx, events)
		case <-failures: // notices were lost
		case <-idle.C:
		}
		idle.Stop()
		if w.look(ctx) && ctx.Err() == nil {
			select {
			case w.tell <- struct{}{}:
			default:
			}
		}
	}
}

// pause is how long to wait for a notice.
func (w *watch) pause() time.Duration {
	if w.polling {
		return max(w.opt.Poll, leisure*w.took)
	}
	return max(doubt*w.opt.Poll, leisure*w.took)
}

// settle waits until no notice has come for a moment.
func (w *watch) settle(ctx context.Context, events <-chan fsnotify.Event) {
	end := time.After(impatience * w.opt.Settle)
	for {
		quiet := time.NewTimer(w.opt.Settle)
		select {
		case <-events:
			quiet.Stop()
			continue
		case <-ctx.Done():
		case <-end:
		case <-quiet.C:
		}
		quiet.Stop()
		return
	}
}

// look says whether anything differs from the last look, and sees to it that every folder is watched.
func (w *watch) look(ctx context.Context) bool {
	begin := time.Now()
	sum, folders := w.dir.fingerprint(ctx)
	if w.follow(folders) {
		sum, _ = w.dir.fingerprint(ctx) // what came into a new folder before it was watched
	}
	w.took = time.Since(begin)
	if ctx.Err() != nil || sum == w.seen {
		return false
	}
	w.seen = sum
	return true
}

// follow watches these folders and no others, and says whether one is new.
func (w *watch) follow(folders map[string]bool) (grown bool) {
	if w.notices == nil {
		return false
	}
	for folder := range w.watched {
		if !folders[folder] {
			delete(w.watched, folder)
			_ = w.notices.Remove(folder) // it may be gone, and its watch with it
		}
	}
	w.polling = false
	for folder := range folders {
		// A folder that was replaced by another of its name has lost its watch; adding it twice does no harm.
		if err := w.notices.Add(folder); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				w.poll(err)
			}
			w.polling = true
			delete(w.watched, folder)
			continue
		}
		grown = grown || !w.watched[folder]
		w.watched[folder] = true
	}
	return grown
}

// poll says that notices fail.
func (w *watch) poll(err error) {
	if !w.warned {
		w.opt.Log.Warn("manifests are looked at from time to time: the system gives no notice of changes", "every", w.opt.Poll, "error", err)
	}
	w.polling, w.warned = true, true
}

// fingerprint is a hash of the name, place, size and time of each file that Read would look at, and of what could not be
// read. folders are those in which a change can happen, under their real names.
func (d *Dir) fingerprint(ctx context.Context) (sum [sha256.Size]byte, folders map[string]bool) {
	l := &listing{ctx: ctx, seen: map[string]bool{}}
	h := sha256.New()
	var all []found
	var beside []string // folders of files that were named by themselves, or that links lead to
	for _, r := range d.roots {
		if r.stream != nil {
			continue
		}
		some, err := l.under(r)
		if err != nil {
			fmt.Fprintln(h, err)
		}
		if err != nil || !r.folder {
			if abs, err := filepath.Abs(r.path); err == nil {
				beside = append(beside, filepath.Dir(abs))
			}
		}
		all = append(all, some...)
	}
	folders = l.seen
	for _, f := range all {
		if f.link || f.asked {
			beside = append(beside, filepath.Dir(f.real))
		}
		if info, err := os.Stat(f.name); err != nil {
			fmt.Fprintln(h, f.name, err)
		} else {
			fmt.Fprintln(h, f.name, f.real, info.Size(), info.ModTime().UnixNano(), inode(info))
		}
	}
	for _, p := range l.problems {
		fmt.Fprintln(h, p.Message)
	}
	for _, folder := range slices.Compact(beside) {
		if real, err := filepath.EvalSymlinks(folder); err == nil {
			folders[real] = true
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), folders
}
