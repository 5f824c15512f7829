package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// seldom passes a message on once in a minute: a full disk is told of a hundred times a second.
type seldom struct {
	slog.Handler
	told *told
}

type told struct {
	mu   sync.Mutex
	when map[string]time.Time // by message, of which there are few
}

func newSeldom(h slog.Handler) *seldom { return &seldom{h, &told{when: map[string]time.Time{}}} }

// Enabled is of slog.Handler. What Prometheus tells in the course of its work is of no interest to our users.
func (s *seldom) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && s.Handler.Enabled(ctx, l)
}

// Handle is of slog.Handler.
func (s *seldom) Handle(ctx context.Context, r slog.Record) error {
	s.told.mu.Lock()
	again := r.Time.Sub(s.told.when[r.Message]) < time.Minute && !r.Time.Before(s.told.when[r.Message])
	if !again {
		if len(s.told.when) > 1000 {
			clear(s.told.when)
		}
		s.told.when[r.Message] = r.Time
	}
	s.told.mu.Unlock()
	if again {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}

// WithAttrs is of slog.Handler.
func (s *seldom) WithAttrs(a []slog.Attr) slog.Handler {
	return &seldom{s.Handler.WithAttrs(a), s.told}
}

// WithGroup is of slog.Handler.
func (s *seldom) WithGroup(name string) slog.Handler {
	return &seldom{s.Handler.WithGroup(name), s.told}
}
