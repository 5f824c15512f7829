package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/oarlock/oarlock/metrics"
)

// Store is a Prometheus in this process: it scrapes the targets that it is given, keeps what they count in a folder, and
// answers questions about it. All of its methods may be called at once. It implements [metrics.Flows].
type Store struct {
	*questions
	opt     Options
	folder  *folder
	engine  *engine
	scraper *scraper

	closing chan struct{}
	once    sync.Once
	running sync.WaitGroup
	mu      sync.Mutex // guards started
	started bool
}

var _ metrics.Flows = (*Store)(nil)

// Open opens the store in a folder, or makes one. What cannot be read there is set aside, and the store begins empty: Health
// tells. A folder that another process uses is an error.
func Open(opt Options) (*Store, error) {
	opt = opt.complete()
	s, err := open(opt)
	if err != nil {
		return nil, fmt.Errorf("open telemetry store: %w", err)
	}
	return s, nil
}

func open(opt Options) (*Store, error) {
	switch {
	case opt.Folder == "":
		return nil, errors.New("no folder is given")
	case opt.Dial == nil:
		return nil, errors.New("no way to dial targets is given")
	case opt.Interval < 10*time.Millisecond:
		return nil, fmt.Errorf("an interval of %s is too short", opt.Interval)
	}
	f, err := openFolder(opt)
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, folder: f, closing: make(chan struct{})}
	if s.scraper, err = newScraper(opt, f); err != nil {
		return nil, errors.Join(err, f.close())
	}
	s.engine = newEngine(f, opt.Timeout, opt.Logger)
	s.questions = newQuestions(s.engine, opt)
	s.own, s.reader = true, s.engine
	s.interval = func(context.Context) (time.Duration, error) { return opt.Interval, nil }
	return s, nil
}

// Run scrapes until the context ends or the store is closed. It is called once.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	select {
	case <-s.closing:
		s.mu.Unlock()
		return fmt.Errorf("run telemetry store: %w", errClosed)
	default:
	}
	if s.started {
		s.mu.Unlock()
		return errors.New("run telemetry store: it runs already")
	}
	s.started = true
	s.running.Add(2)
	s.mu.Unlock()
	defer s.running.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.watch(ctx, cancel)
	if err := s.scraper.run(ctx); err != nil {
		return fmt.Errorf("run telemetry store: %w", err)
	}
	return nil
}

// watch ends a run when the store is closed, and looks at the clock.
func (s *Store) watch(ctx context.Context, cancel func()) {
	defer s.running.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.folder.watchClock()
		case <-s.closing:
			cancel()
			return
		case <-ctx.Done():
			return
		}
	}
}

// SetTargets says whom to scrape from now on. Of targets with one name, the last counts. A target that is left out is
// forgotten after two intervals: what it counted stays, and its series end.
func (s *Store) SetTargets(targets []Target) { s.scraper.set(targets) }

// Close ends Run, waits for it, and closes the folder. It may be called more than once.
func (s *Store) Close() error {
	s.mu.Lock()
	s.once.Do(func() { close(s.closing) })
	s.mu.Unlock()
	s.running.Wait()
	if err := errors.Join(s.engine.close(), s.folder.close()); err != nil {
		return fmt.Errorf("close telemetry store: %w", err)
	}
	return nil
}

// Health is of [metrics.Flows].
func (s *Store) Health(context.Context) metrics.StoreHealth {
	h := metrics.StoreHealth{Kind: "embedded", Address: s.folder.path, Interval: s.opt.Interval, Retention: s.opt.Retention}
	var problems []string
	var silent string
	h.Targets, h.Up, silent = s.scraper.health()
	db, release, err := s.folder.use()
	if err != nil {
		h.Problem = err.Error()
		return h
	}
	defer release()
	h.OK = true
	head := db.Head()
	h.Series, h.Bytes = head.NumSeries(), head.Size()
	oldest, newest := head.MinTime(), head.MaxTime()
	for _, b := range db.Blocks() {
		h.Bytes += b.Size()
		oldest = min(oldest, b.MinTime())
	}
	if oldest != math.MaxInt64 {
		h.Since = time.UnixMilli(oldest)
	}
	if ahead := time.Until(time.UnixMilli(newest)); newest != math.MinInt64 && ahead > 2*s.opt.Interval+time.Second {
		problems = append(problems, fmt.Sprintf("the clock went back by %s: nothing is taken until it is there again", ahead.Round(time.Second)))
	}
	if err := s.folder.unwritten.Load(); err != nil {
		problems = append(problems, "what is seen cannot be kept: "+(*err).Error())
	}
	if s.folder.problem != "" {
		problems = append(problems, s.folder.problem)
	}
	if silent != "" {
		problems = append(problems, silent)
	}
	h.Problem = strings.Join(problems, "; ")
	return h
}
