//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oarlock/oarlock/api"
)

// plane is a client of the mesh's control plane.
func (m *liveMesh) plane() *api.Client {
	c := api.NewClient(filepath.Join(m.home, "r", "oarlock", m.name, "api.sock"))
	m.t.Cleanup(c.Close)
	return c
}

// edgeTo finds the edge between a workload and a service.
func edgeTo(g *api.Graph, from, to string) *api.Edge {
	for i := range g.Edges {
		if e := &g.Edges[i]; strings.Contains(e.From, "/"+from) && strings.Contains(e.To, "/"+to+".") {
			return e
		}
	}
	return nil
}

// TestAPIOfRunningMesh: a lock follows a change that was made over the API, everything can be looked into, and the change is
// kept and can be taken back.
func TestAPIOfRunningMesh(t *testing.T) {
	m := up(t, "backyards-current")
	m.synced()
	c := m.plane()
	var edge *api.Edge
	lock := func(want string) func() (string, bool) {
		return func() (string, bool) {
			g, err := c.Graph(t.Context(), api.GraphQuery{})
			if err != nil {
				return err.Error(), false
			}
			if edge = edgeTo(g, "frontpage", "bookings"); edge == nil {
				return "no edge", false
			}
			return edge.Lock + ": " + edge.Reason, edge.Lock == want
		}
	}
	m.eventually("locked", lock("locked"))
	resource := "backyards-demo/bookings:8080"
	done, err := c.ChangeMTLS(t.Context(), api.MTLS{Verb: "disable", Resource: resource, Apply: api.Apply{Yes: true}})
	if err != nil || !done.Applied {
		t.Fatalf("disable: %+v %v", done, err)
	}
	begin := time.Now()
	m.eventually("open", lock("open"))
	t.Logf("the lock opens %v after the change", time.Since(begin).Round(time.Millisecond))
	m.eventually("in force", func() (string, bool) {
		list, err := c.Changes(t.Context(), "", 1)
		if err != nil || len(list.Changes) == 0 {
			return "no change", false
		}
		one := list.Changes[0]
		return one.What, one.Name == done.Name && one.What == "disable "+resource && !one.InForce.IsZero() && one.Sidecars == len(m.status().Nodes) && one.Undo
	})
	m.lookInto(c, edge)
	if _, err := c.Undo(t.Context(), api.Undo{Name: done.Name, Apply: api.Apply{Yes: true}}); err != nil {
		t.Fatal(err)
	}
	m.eventually("locked again", lock("locked"))
	// The command line names what it does.
	m.do("mtls", "require", "backyards-demo", "--yes")
	m.eventually("the name", func() (string, bool) {
		list, err := c.Changes(t.Context(), "", 1)
		if err != nil || len(list.Changes) == 0 {
			return "no change", false
		}
		one := list.Changes[0]
		return one.Who + ": " + one.What, one.Who == "command line" && one.User != "" && one.What == "require backyards-demo"
	})
}

// lookInto asks for all that is known of an edge.
func (m *liveMesh) lookInto(c *api.Client, edge *api.Edge) {
	t := m.t
	t.Helper()
	// Whom it asks for these has little time to answer.
	m.eventually("all of an edge", func() (string, bool) {
		d, err := c.Edge(t.Context(), edge.ID, 0)
		return fmt.Sprintf("%+v %v", d, err), err == nil && len(d.Log) > 0 && d.Log[0].Path != "" && len(d.Certificates) >= 2 && d.Certificates[0].State == "ok" &&
			d.Explanation != nil && d.Explanation.Sync != nil && d.Explanation.Sync.InForce == d.Explanation.Sync.Total && d.Trend != nil
	})
	var node *api.NodeDetails
	m.eventually("all of a node", func() (text string, ok bool) {
		var err error
		node, err = c.Node(t.Context(), edge.To, 0)
		return fmt.Sprintf("%+v %v", node, err), err == nil && len(node.Ports) > 0 && node.Ports[0].Server == "DISABLE" && len(node.Pods) > 0
	})
	front := m.pod("backyards-demo", "frontpage")
	m.eventually("a probe proves it", func() (string, bool) {
		a, err := c.Probe(t.Context(), api.Probe{To: "backyards-demo/bookings:8080", From: "backyards-demo/" + front.Name})
		return fmt.Sprintf("%+v %v", a, err), err == nil && a.Proven.Mode == "DISABLE" && strings.HasPrefix(a.Proven.From, "workload/backyards-demo/frontpage")
	})
	proxy, err := c.Proxy(t.Context(), "backyards-demo", front.Name)
	if err != nil {
		t.Fatal(err)
	}
	dump, err := io.ReadAll(proxy)
	proxy.Close()
	if err != nil || !strings.Contains(string(dump), "ClustersConfigDump") || strings.Contains(string(dump), "PRIVATE KEY") {
		t.Errorf("config_dump of %d bytes: %v", len(dump), err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = c.Tap(ctx, api.TapQuery{Edge: edge.ID}, func(l *api.LogLine) error {
		if l.To != edge.To && !slices.Contains(node.Node.Endpoints, l.To) {
			t.Errorf("a line of another edge: %+v", l)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("tap: %v", err)
	}
}
