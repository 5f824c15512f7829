package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/oarlock/oarlock/api"
)

// Bounds of the event stream.
const (
	eventsKept   = 1 << 10
	maxStreams   = 512
	heartbeat    = 15 * time.Second
	streamWrite  = 10 * time.Second // how long one write may take before its reader counts as gone
	eventsAtOnce = 64               // in one write
)

// Types of events.
const (
	eventSnapshot = "snapshot"
	eventSync     = "sync"
	eventChange   = "change"
	eventHeld     = "held"
	eventStore    = "store"
	eventPicture  = "picture"
	eventReset    = "reset"
)

// events is a ring of the newest events. Each stream reads it at its own pace and holds nothing of its own, so that a slow
// reader costs nothing and delays nobody; one that is so slow that the ring has gone over it hears "reset".
type events struct {
	mu      sync.Mutex
	next    uint64 // of the event to come
	first   uint64 // the oldest that is kept
	ring    [eventsKept]api.Event
	fresh   chan struct{} // closed when there is a new one
	streams int
}

// newEvents begins with a number that no earlier process can have given: whoever comes back from before a restart is told
// to look at everything again.
func newEvents() *events {
	begin := uint64(time.Now().UnixMilli()) * 1000
	return &events{next: begin, first: begin, fresh: make(chan struct{})}
}

// add appends an event and wakes all streams.
func (e *events) add(one api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one.ID = e.next
	if one.At.IsZero() {
		one.At = time.Now()
	}
	e.ring[e.next%eventsKept] = one
	e.next++
	if e.next-e.first > eventsKept {
		e.first = e.next - eventsKept
	}
	close(e.fresh)
	e.fresh = make(chan struct{})
}

// after gives the events after an ID, the ID to go on from, and a channel that says when there are more. An ID that is not
// kept any more, or never was, gives one event: reset.
func (e *events) after(id uint64) ([]api.Event, uint64, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id+1 < e.first || id >= e.next {
		last := e.next - 1
		return []api.Event{{ID: last, Type: eventReset, At: time.Now(), Text: "events were lost; look at everything again"}}, last, e.fresh
	}
	var out []api.Event
	for id+1 < e.next && len(out) < eventsAtOnce {
		id++
		out = append(out, e.ring[id%eventsKept])
	}
	return out, id, e.fresh
}

// newest is the ID of the last event.
func (e *events) newest() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next - 1
}

// enter counts a stream; false says that there are too many.
func (e *events) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.streams >= maxStreams {
		return false
	}
	e.streams++
	return true
}

func (e *events) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams--
}

// watched says whether anybody listens.
func (e *events) watched() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.streams > 0
}

// stream is GET /v1/events.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	at := a.events.newest()
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		id, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			a.refuse(w, r, bad("follow events: Last-Event-ID %.40q is no number", last))
			return
		}
		at = id
	}
	if !a.events.enter() {
		w.Header().Set("Retry-After", "5")
		a.refuse(w, r, wrong(http.StatusServiceUnavailable, "follow events: %d streams are open already", maxStreams))
		return
	}
	defer a.events.leave()
	out := newEventWriter(w)
	if out.comment("events of the mesh") != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		list, next, fresh := a.events.after(at)
		at = next
		if err := out.events(list); err != nil {
			return
		}
		if len(list) == eventsAtOnce {
			continue
		}
		select {
		case <-fresh:
		case <-beat.C:
			if out.comment("still here") != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// eventWriter writes an event stream. A reader that takes nothing for streamWrite is gone.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buf     []byte
}

func newEventWriter(w http.ResponseWriter) *eventWriter {
	w.Header().Set("Content-Type", contentEvents)
	w.Header().Set("X-Accel-Buffering", "no")
	e := &eventWriter{w: w, control: http.NewResponseController(w)}
	_ = e.control.SetReadDeadline(time.Time{}) // the end of ReadTimeout would be taken for the end of the stream
	return e
}

func (e *eventWriter) comment(text string) error {
	return e.send(append(e.buf[:0], ": "+text+"\n\n"...))
}

func (e *eventWriter) events(list []api.Event) error {
	if len(list) == 0 {
		return nil
	}
	b := e.buf[:0]
	for i := range list {
		var err error
		if b, err = appendEvent(b, list[i].ID, list[i].Type, list[i]); err != nil {
			return err
		}
	}
	return e.send(b)
}

// appendEvent appends one event; id 0 is none. JSON has no line feed in it.
func appendEvent(b []byte, id uint64, kind string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	if id != 0 {
		b = fmt.Appendf(b, "id: %d\n", id)
	}
	return fmt.Appendf(b, "event: %s\ndata: %s\n\n", kind, text), nil
}

func (e *eventWriter) send(b []byte) error {
	e.buf = b
	if err := e.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return e.control.Flush()
}
