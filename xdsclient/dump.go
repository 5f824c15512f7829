package xdsclient

import (
	"time"

	"google.golang.org/protobuf/types/known/anypb"
)

// Dump is what is in force, as it came from the control plane.
type Dump struct {
	// Version is the snapshot's, as in proxy.Config.
	Version string
	// Types are in the order of subscription: clusters, endpoints, listeners, routes.
	Types []DumpType
}

// DumpType has the resources of one type.
type DumpType struct {
	TypeURL string
	// Version is of the last response that was acknowledged.
	Version string
	// Refused is why the last response was, "" if it was not; RefusedVersion and RefusedAt say which and when.
	Refused        string
	RefusedVersion string
	RefusedAt      time.Time
	// Resources are by name. They are shared, and must not be changed.
	Resources []DumpResource
}

// DumpResource is one resource.
type DumpResource struct {
	Name    string
	Version string
	Updated time.Time // when its content last changed
	Raw     *anypb.Any
}

// Status says how the stream is.
type Status struct {
	// Connected says that a stream is open; Since is when that changed.
	Connected bool
	Since     time.Time
	// Server is what the control plane calls itself.
	Server string
	// Applied says that a configuration is in force.
	Applied bool
	// Waiting names something that is missing of a configuration that would else be applied.
	Waiting string
	// Acknowledged and Refused count responses.
	Acknowledged, Refused int
	// Err is why the stream ended, or why the last configuration is not in force; nil if neither.
	Err error
}

// connected notes that there is a stream.
func (c *Client) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Connected, c.status.Since, c.status.Err = true, time.Now(), nil
	c.options.Log.Info("control plane is there", "target", c.options.Target)
}

// answers notes what the server calls itself.
func (c *Client) answers(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Server = server[:min(len(server), 256)]
}

// disconnected notes that the stream is gone.
func (c *Client) disconnected(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Connected || c.status.Since.IsZero() {
		c.status.Since = time.Now()
	}
	c.status.Connected, c.status.Waiting, c.status.Err = false, "", err
}

// waiting notes what is waited for, "" for nothing, and says whether something was before.
func (c *Client) waiting(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.status.Waiting != ""
	c.status.Waiting = name
	return before
}

// refusal is why the last response of a kind was refused, if it was.
type refusal struct {
	reason, version string
	at              time.Time
}

// note counts an ACK or a NACK.
func (c *Client) note(u *update, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.status.Acknowledged++
		c.answered[u.kind] = refusal{}
		return
	}
	c.status.Refused++
	c.answered[u.kind] = refusal{err.Error(), u.version, time.Now()}
	c.options.Log.Warn("response is refused", "type", u.kind.String(), "version", u.version, "err", err)
}

// show notes what is in force now, or why it is not.
func (c *Client) show(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Err = err; err == nil {
		c.status.Applied = true
		c.shown, c.versions, c.applied = c.good, c.version, c.snapshot
	}
}

// Status says how the stream is.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Versions gives, by type URL, the version of the last response that was acknowledged; none for a type without.
func (c *Client) Versions() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for k, v := range c.versions {
		if v != "" {
			out[kind(k).url()] = v
		}
	}
	return out
}

// Ignored counts, by name, what the resources in force have that the sidecar leaves out because it does no harm.
func (c *Client) Ignored() map[string]int {
	c.mu.Lock()
	s := c.shown
	c.mu.Unlock()
	return s.ignored()
}

// Dump gives what is in force, as it came, by type in the order of subscription and by name.
func (c *Client) Dump() Dump {
	c.mu.Lock()
	s, versions, answered := c.shown, c.versions, c.answered
	out := Dump{Version: c.applied}
	c.mu.Unlock()
	for k := range kinds {
		t := DumpType{
			TypeURL: k.url(), Version: versions[k],
			Refused: answered[k].reason, RefusedVersion: answered[k].version, RefusedAt: answered[k].at,
		}
		for _, e := range s[k].entries() {
			t.Resources = append(t.Resources, DumpResource{e.name, e.version, e.updated, e.raw})
		}
		out.Types = append(out.Types, t)
	}
	return out
}
